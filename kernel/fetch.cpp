#include "fetch.h"

#include <algorithm>

namespace nearrow {
namespace {

constexpr int kLine = 64;
constexpr int kGroup = 48;  // rows on their way while those before are scored (measured: 16 and 32 are slower)

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

}  // namespace

void fetch_codes(const CodeRows& rows, bool both_planes, const int32_t* nodes, int n) {
    fetch_plane(rows.high, rows.high_stride, rows.shape, nodes, n);
    if (both_planes) fetch_plane(rows.low, rows.low_stride, rows.shape, nodes, n);
}

void CodeScan::operator()(const int32_t* nodes, int n, int fetched, int32_t* keys) const {
    const auto ensure = [&](int end) {
        end = std::min(end, n);
        if (end > fetched) fetch(nodes + fetched, end - fetched);
        fetched = std::max(fetched, end);
    };
    ensure(kGroup);
    for (int at = 0; at < n; at += kGroup) {
        ensure(at + 2 * kGroup);
        loop(*rows, query, nodes + at, std::min(kGroup, n - at), keys + at);
    }
}

}  // namespace nearrow
