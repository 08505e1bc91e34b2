// The loops over sketches with AVX2: a shuffle looks 32 entries up, two groups of 16 nodes.
#if defined(__x86_64__)
#include <immintrin.h>

#include "sketch_sums.h"

namespace nearrow {
namespace {

constexpr int kPairsPerSum = 8;  // of entries up to 31 that a byte holds

inline __m256i load(const uint8_t* data) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)); }

// Adds bytes to 16-bit sums: those of even nodes and of odd ones, still apart for the two groups of a pair.
inline void widen(__m256i bytes, __m256i& even, __m256i& odd) {
    even = _mm256_add_epi16(even, _mm256_and_si256(bytes, _mm256_set1_epi16(255)));
    odd = _mm256_add_epi16(odd, _mm256_srli_epi16(bytes, 8));
}

inline __m128i joined(__m256i sums) {
    return _mm_add_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

void score(const uint8_t* codes, const uint8_t* tables, int pairs, int64_t blocks, uint16_t* scores, uint16_t* lowest) {
    const __m256i low_bits = _mm256_set1_epi8(15);
    for (int64_t block = 0; block < blocks; ++block) {
        __m256i even[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        __m256i odd[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (int first = 0; first < pairs; first += kPairsPerSum) {
            const int last = first + kPairsPerSum < pairs ? first + kPairsPerSum : pairs;
            __m256i low = _mm256_setzero_si256();
            __m256i high = _mm256_setzero_si256();
            for (int pair = first; pair < last; ++pair) {
                const __m256i bits = load(codes);
                const __m256i table = load(tables + pair * 32);
                codes += 32;
                low = _mm256_add_epi8(low, _mm256_shuffle_epi8(table, _mm256_and_si256(bits, low_bits)));
                high = _mm256_add_epi8(
                    high, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bits, 4), low_bits)));
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
    const __m256i least = _mm256_set1_epi16(static_cast<short>(first));
    const __m256i most = _mm256_set1_epi16(static_cast<short>(last));
    const auto inside = [&](__m256i here) {
        return _mm256_and_si256(_mm256_cmpeq_epi16(_mm256_min_epu16(here, most), here),
                                _mm256_cmpeq_epi16(_mm256_max_epu16(here, least), here));
    };
    int64_t found = 0;
    for (int64_t block = 0; block < blocks; ++block) {
        if (lowest[block] > last) continue;
        const auto* at = reinterpret_cast<const __m256i*>(scores + block * kSketchBlock);
        const __m256i a = inside(_mm256_loadu_si256(at));
        const __m256i b = inside(_mm256_loadu_si256(at + 1));
        // Packing goes by halves of 128 bits: put them back in order.
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
        for (auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(both)); mask != 0; mask &= mask - 1) {
            out[found++] = static_cast<int32_t>(block) * kSketchBlock + __builtin_ctz(mask);
        }
    }
    return found;
}

}  // namespace

extern const SketchLoops sketch_avx2 = {score, select};

}  // namespace nearrow
#endif
