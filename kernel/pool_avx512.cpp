// How do the nodes that a step scored enter the sorted pool, with AVX-512? The `absorb` of simd.h.
#if defined(__x86_64__)
#include <immintrin.h>

#include "simd.h"

namespace nearrow {
namespace {

// How many of the 32 entries in four registers are below one.
inline int rank_of(const __m512i* entries, __m512i one) {
    int rank = 0;
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) rank += __builtin_popcount(_mm512_cmplt_epu64_mask(entries[r], one));
    return rank;
}

// The number of entries below `wanted` in a sorted pool.
inline int place_of(const uint64_t* pool, int size, uint64_t entry, __m512i wanted) {
    int low = 0;
    for (int count = size; count > 64;) {
        const int half = count / 2;
        const bool after = pool[low + half] < entry;
        low = after ? low + half + 1 : low;
        count = after ? count - half - 1 : half;
        size = low + count;
    }
    // Without a branch on what is found: that could not be foretold.
    int place = low;
    for (int at = low; at < size; at += 8) {
        place += __builtin_popcount(
            _mm512_mask_cmplt_epu64_mask(static_cast<__mmask8>(_bzhi_u32(255, static_cast<unsigned>(size - at))),
                                         _mm512_loadu_si512(pool + at), wanted));
    }
    return place;
}

}  // namespace

// All near nodes of a batch go in at once, from one buffer to the other: shifting the pool for each of them, every load
// would meet the store before it half-way.
int absorb_avx512(uint64_t** buffers, int* size, int capacity, const int32_t* nodes, const int32_t* keys, int n,
                  const int32_t* lists, int width) {
    constexpr int kBatch = 32;
    const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000U));
    int lowest = *size;
    for (int i = 0; i < n; i += kBatch) {
        uint64_t* from = buffers[0];
        const int filled = *size;
        const int worst = filled == capacity
                              ? static_cast<int>(static_cast<uint32_t>(from[filled - 1] >> 32) ^ 0x80000000U)
                              : 0x7FFFFFFF;
        uint32_t near = 0;
        __m512i batch[4];
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const int left = n - i - 16 * half;
            const auto inside = static_cast<__mmask16>(left >= 16 ? 0xFFFF : left <= 0 ? 0 : (1 << left) - 1);
            const __m512i key = _mm512_maskz_loadu_epi32(inside, keys + i + 16 * half);
            const __m512i node = _mm512_maskz_loadu_epi32(inside, nodes + i + 16 * half);
            const __mmask16 close = _mm512_mask_cmple_epi32_mask(inside, key, _mm512_set1_epi32(worst));
            near |= static_cast<uint32_t>(close) << (16 * half);
            const __m512i high = _mm512_xor_si512(key, sign);
            const __m512i low = _mm512_slli_epi32(node, 1);
            const __m512i none = _mm512_set1_epi64(-1);
#pragma GCC unroll 2
            for (int part = 0; part < 2; ++part) {
                const __m256i h = part == 0 ? _mm512_castsi512_si256(high) : _mm512_extracti64x4_epi64(high, 1);
                const __m256i l = part == 0 ? _mm512_castsi512_si256(low) : _mm512_extracti64x4_epi64(low, 1);
                const auto taken = static_cast<__mmask8>(close >> (8 * part));
                batch[2 * half + part] = _mm512_mask_or_epi64(
                    none, taken, _mm512_slli_epi64(_mm512_cvtepu32_epi64(h), 32), _mm512_cvtepu32_epi64(l));
            }
        }
        if (near == 0) continue;
        uint64_t sorted[kBatch];
        int places[kBatch];
        int count = 0;
        uint32_t ranks = 0;  // those given out
        for (; near != 0; near &= near - 1) {
            const int j = i + __builtin_ctz(near);
            const uint64_t entry = (static_cast<uint64_t>(static_cast<uint32_t>(keys[j]) ^ 0x80000000U) << 32) |
                                   (static_cast<uint64_t>(static_cast<uint32_t>(nodes[j])) << 1);
            const char* list = reinterpret_cast<const char*>(lists + static_cast<int64_t>(nodes[j]) * width);
            // 128 bytes in a finished graph, half as much again while it is built.
            for (int at = 0; at < 4 * width; at += 64) _mm_prefetch(list + at, _MM_HINT_T0);
            const __m512i wanted = _mm512_set1_epi64(static_cast<long long>(entry));
            int rank = rank_of(batch, wanted);
            // A damaged list may name a node twice: equal entries come one after the other.
            while ((ranks >> rank & 1) != 0) ++rank;
            ranks |= uint32_t{1} << rank;
            sorted[rank] = entry;
            places[rank] = place_of(from, filled, entry, wanted);
            ++count;
        }
        uint64_t* to = buffers[1];
        int at = 0;
        int taken = 0;
        // What is copied beyond a place is overwritten by what comes there; both buffers have room for that.
        for (; taken < count && places[taken] + taken < capacity; ++taken) {
            do {
                _mm512_storeu_si512(to + at + taken, _mm512_loadu_si512(from + at));
                at += 8;
            } while (at < places[taken]);
            at = places[taken];
            to[at + taken] = sorted[taken];
        }
        if (taken == 0) continue;
        const int end = filled + taken < capacity ? filled + taken : capacity;
        for (; at + taken < end; at += 8) _mm512_storeu_si512(to + at + taken, _mm512_loadu_si512(from + at));
        lowest = places[0] < lowest ? places[0] : lowest;
        *size = end;
        buffers[0] = to;
        buffers[1] = from;
    }
    return lowest;
}

}  // namespace nearrow
#endif
