// Sketch sums: how does a block of scores leave the vector registers? For x86, whatever the width of its loops.
#pragma once

#include <immintrin.h>

#include "sketch.h"

namespace nearrow {
namespace {  // compiled anew with each file's own set of instructions

// Writes the scores of a block, of whose two halves the sums of even nodes and of odd ones are still apart; returns the
// lowest.
inline uint16_t store_block(const __m128i (&even)[2], const __m128i (&odd)[2], uint16_t* scores) {
    for (int half = 0; half < 2; ++half) {
        auto* out = reinterpret_cast<__m128i*>(scores + half * 16);
        _mm_storeu_si128(out, _mm_unpacklo_epi16(even[half], odd[half]));
        _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(even[half], odd[half]));
    }
    const __m128i lower = _mm_min_epu16(_mm_min_epu16(even[0], odd[0]), _mm_min_epu16(even[1], odd[1]));
    return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_minpos_epu16(lower)));
}

}  // namespace
}  // namespace nearrow
