#include "fetch.h"

#include <algorithm>

#include "codes.h"

namespace nearrow {
namespace {

constexpr int kLine = 64;
constexpr int kRowsMin = 4;   // on their way while others are scored, however long they are
constexpr int kRowsMax = 48;  // and however short

inline void fetch_line(const uint8_t* data) {
#if defined(__x86_64__)
    __asm__ volatile("prefetcht1 %0" : : "m"(*data));  // GCC drops `_mm_prefetch` in loops that do nothing else
#else
    __builtin_prefetch(data, 0, 2);
#endif
}

// Without branches when the number of whole blocks is known: Full, or 0 when it is not.
template <int Full>
void fetch_rows(const uint8_t* plane, size_t stride, const CodeShape& shape, const int32_t* nodes, int n) {
    const int full = Full > 0 ? Full : shape.full;
    // The last byte may lie in a line of its own.
    const int last = shape.tail > 0 || stride % kLine != 0 ? full * kLine + shape.tail - 1 : 0;
    for (int i = 0; i < n; ++i) {
        const uint8_t* row = plane + static_cast<size_t>(nodes[i]) * stride;
#pragma GCC unroll 8
        for (int block = 0; block < full; ++block) fetch_line(row + block * kLine);
        if (last > 0) fetch_line(row + last);
    }
}

void fetch_plane(const uint8_t* plane, size_t stride, const CodeShape& shape, const int32_t* nodes, int n) {
    switch (shape.full) {
        case 1:
            return fetch_rows<1>(plane, stride, shape, nodes, n);
        case 2:
            return fetch_rows<2>(plane, stride, shape, nodes, n);
        case 3:
            return fetch_rows<3>(plane, stride, shape, nodes, n);
        case 4:
            return fetch_rows<4>(plane, stride, shape, nodes, n);
        case 6:
            return fetch_rows<6>(plane, stride, shape, nodes, n);
        default:
            return fetch_rows<0>(plane, stride, shape, nodes, n);
    }
}

// They go to the second cache, since more lines can be on their way there than to the first, by far (docs/decisions).
void fetch_codes(const CodeRows& rows, bool both_planes, const int32_t* nodes, int n) {
    fetch_plane(rows.high, rows.high_stride, rows.shape, nodes, n);
    if (both_planes) fetch_plane(rows.low, rows.low_stride, rows.shape, nodes, n);
}

}  // namespace

CodeScan::CodeScan(const CodeRows& rows, bool both_planes, const void* query)
    : rows_(&rows), both_planes_(both_planes), query_(query) {
    const int lines = (row_bytes(rows.shape) + kLine - 1) / kLine * (both_planes ? 2 : 1);
    ahead_ = std::clamp(simd().fetching.lines / std::max(lines, 1), kRowsMin, kRowsMax);
    group_ = simd().fetching.rows;
}

void CodeScan::fetch(const int32_t* batch, int from, int to) const {
    to = std::min(to, group_ + ahead_);
    if (to > from) fetch_codes(*rows_, both_planes_, batch + from, to - from);
}

void CodeScan::operator()(const int32_t* batch, int n, Fetched fetched, int32_t* keys) const {
    const auto loop = both_planes_ ? simd().eight_l2 : simd().four_l2;
    int asked = fetched == Fetched::all ? n : fetched == Fetched::first ? std::min(n, group_ + ahead_) : 0;
    const auto ask = [&](int end) {
        end = std::min(end, n);
        if (end > asked) fetch_codes(*rows_, both_planes_, batch + asked, end - asked);
        asked = std::max(asked, end);
    };
    for (int at = 0; at < n;) {
        ask(at + group_ + ahead_);
        const int end = asked < n ? std::min(at + group_, n) : n;
        loop(*rows_, query_, batch + at, end - at, keys + at);
        at = end;
    }
}

}  // namespace nearrow
