// The loops over sketches with AVX-512: a shuffle looks 64 entries up, two pairs of groups.
#if defined(__x86_64__)
#include <immintrin.h>

#include "sketch_sums.h"

namespace nearrow {
namespace {

constexpr int kPairsPerSum = 16;  // two at once, eight of entries up to 31 a byte

inline __m512i add(__m512i sums, __m512i table, __m512i bits) {
    return _mm512_add_epi8(sums, _mm512_shuffle_epi8(table, _mm512_and_si512(bits, _mm512_set1_epi8(15))));
}

// Adds bytes to 16-bit sums: those of even nodes and of odd ones, still apart for the groups.
inline void widen(__m512i bytes, __m512i& even, __m512i& odd) {
    even = _mm512_add_epi16(even, _mm512_and_si512(bytes, _mm512_set1_epi16(255)));
    odd = _mm512_add_epi16(odd, _mm512_srli_epi16(bytes, 8));
}

inline __m128i joined(__m512i sums) {
    const __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    return _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

void score(const uint8_t* codes, const uint8_t* tables, int pairs, int64_t blocks, uint16_t* scores, uint16_t* lowest) {
    for (int64_t block = 0; block < blocks; ++block) {
        __m512i even[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        __m512i odd[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        for (int first = 0; first < pairs; first += kPairsPerSum) {
            const int last = first + kPairsPerSum < pairs ? first + kPairsPerSum : pairs;
            __m512i low = _mm512_setzero_si512();
            __m512i high = _mm512_setzero_si512();
            int pair = first;
            for (; pair + 2 <= last; pair += 2) {
                const __m512i bits = _mm512_loadu_si512(codes);
                const __m512i table = _mm512_loadu_si512(tables + pair * 32);
                codes += 64;
                low = add(low, table, bits);
                high = add(high, table, _mm512_srli_epi16(bits, 4));
            }
            if (pair < last) {  // an odd one: the other half looks up zeros
                const __m512i bits = _mm512_maskz_loadu_epi64(0x0F, codes);
                const __m512i table = _mm512_maskz_loadu_epi64(0x0F, tables + pair * 32);
                codes += 32;
                low = add(low, table, bits);
                high = add(high, table, _mm512_srli_epi16(bits, 4));
            }
            widen(low, even[0], odd[0]);
            widen(high, even[1], odd[1]);
        }
        lowest[block] = store_block({joined(even[0]), joined(even[1])}, {joined(odd[0]), joined(odd[1])},
                                    scores + block * kSketchBlock);
    }
}

int64_t select(const uint16_t* scores, const uint16_t* lowest, int64_t blocks, uint16_t first, uint16_t last,
               int32_t* out) {
    const __m512i least = _mm512_set1_epi16(static_cast<short>(first));
    const __m512i most = _mm512_set1_epi16(static_cast<short>(last));
    int64_t found = 0;
    for (int64_t begin = 0; begin < blocks; begin += 32) {
        __mmask32 some = _mm512_cmple_epu16_mask(_mm512_loadu_si512(lowest + begin), most);
        if (blocks - begin < 32) some &= (1U << (blocks - begin)) - 1;
        for (; some != 0; some &= some - 1) {
            const auto at = static_cast<int32_t>((begin + __builtin_ctz(some)) * kSketchBlock);
            const __m512i here = _mm512_loadu_si512(scores + at);
            __mmask32 mask = _mm512_mask_cmpge_epu16_mask(_mm512_cmple_epu16_mask(here, most), here, least);
            for (; mask != 0; mask &= mask - 1) out[found++] = at + __builtin_ctz(mask);
        }
    }
    return found;
}

}  // namespace

extern const SketchLoops sketch_avx512 = {score, select};

}  // namespace nearrow
#endif
