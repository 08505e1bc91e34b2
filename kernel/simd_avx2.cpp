// The loops with AVX2 and F16C: the same integers as AVX-512 through widened products, the same float lanes.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "simd.h"
#include "simd_plain.h"

namespace nearrow {
namespace {

constexpr int kBlock = 64;

inline __m256i load_bytes(const uint8_t* data) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)); }

inline __m256i nibbles(__m256i code, bool high) {
    return _mm256_and_si256(high ? _mm256_srli_epi16(code, 4) : code, _mm256_set1_epi8(15));
}

inline __m256i pair_sums(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }

struct FourL2 {
    static constexpr bool two_planes = false;
    static inline __m256i add(__m256i sum, __m256i code, __m256i, const uint8_t* query, bool high) {
        const __m256i c = nibbles(code, high);
        const __m256i factor = _mm256_sub_epi8(_mm256_slli_epi16(c, 2), load_bytes(query));
        return _mm256_add_epi32(sum,
                                pair_sums(_mm256_maddubs_epi16(c, factor)));  // |sum of two| <= 3,840: no saturation
    }
};

inline __m256i join(__m256i high, __m256i low, bool upper) {
    return _mm256_or_si256(_mm256_slli_epi16(nibbles(high, upper), 4), nibbles(low, upper));
}

struct EightL2 {
    static constexpr bool two_planes = true;
    static inline __m256i add(__m256i sum, __m256i high, __m256i low, const uint8_t* query, bool upper) {
        const __m256i c = join(high, low, upper);
        const __m256i q = load_bytes(query);
        __m256i t = _mm256_sub_epi8(_mm256_max_epu8(c, q), _mm256_min_epu8(c, q));
        t = _mm256_min_epu8(t, _mm256_set1_epi8(static_cast<char>(254)));
        const __m256i first = _mm256_unpacklo_epi8(t, _mm256_setzero_si256());
        const __m256i second = _mm256_unpackhi_epi8(t, _mm256_setzero_si256());
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(first, first));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(second, second));
    }
};

inline int32_t reduce(__m256i sum) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    return _mm_cvtsi128_si32(four);
}

template <class Form>
inline __m256i add_block(__m256i sum, const uint8_t* high, const uint8_t* low, const uint8_t* q) {
    for (int half = 0; half < kBlock; half += 32) {
        const __m256i h = load_bytes(high + half);
        const __m256i l = Form::two_planes ? load_bytes(low + half) : h;
        sum = Form::add(sum, h, l, q + half, false);
        sum = Form::add(sum, h, l, q + half + kBlock, true);
    }
    return sum;
}

template <class Form>
void score(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int ahead, int32_t* keys) {
    const auto* q = static_cast<const uint8_t*>(query);
    const int full = rows.shape.full;
    const int tail = rows.shape.tail;
    for (int i = 0; i < n; ++i) {
        if (i + 8 < n + ahead) {
            const uint8_t* next = rows.high + static_cast<size_t>(nodes[i + 8]) * rows.high_stride;
            for (int at = 0; at < full * kBlock + tail; at += kBlock) {
                _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
            }
        }
        const uint8_t* high = rows.high + static_cast<size_t>(nodes[i]) * rows.high_stride;
        const uint8_t* low = Form::two_planes ? rows.low + static_cast<size_t>(nodes[i]) * rows.low_stride : high;
        __m256i sum = _mm256_setzero_si256();
        for (int block = 0; block < full; ++block) {
            sum = add_block<Form>(sum, high + block * kBlock, low + block * kBlock, q + 2 * block * kBlock);
        }
        if (tail > 0) {
            uint8_t last_high[kBlock] = {};
            uint8_t last_low[kBlock] = {};
            memcpy(last_high, high + full * kBlock, static_cast<size_t>(tail));
            memcpy(last_low, low + full * kBlock, static_cast<size_t>(tail));
            sum = add_block<Form>(sum, last_high, last_low, q + 2 * full * kBlock);
        }
        keys[i] = reduce(sum);
    }
}

// Four doubles of one lane group; eight groups make the 32 lanes.
inline double reduce32(const __m256d* sums) {
    const __m256d low = _mm256_add_pd(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[4], sums[6]));
    const __m256d high = _mm256_add_pd(_mm256_add_pd(sums[1], sums[3]), _mm256_add_pd(sums[5], sums[7]));
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

struct Float32 {
    using Type = float;
    static inline __m128 load(const float* row) { return _mm_loadu_ps(row); }
};

struct Float16 {
    using Type = uint16_t;
    static inline __m128 load(const uint16_t* row) {
        return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row)));
    }
};

// Calls step(lane group, query as doubles, row as doubles) over the whole row, the end padded with zeros.
template <class Value, class Step>
inline void each_four(const void* data, const float* query, int dimension, Step step) {
    const auto* row = static_cast<const typename Value::Type*>(data);
    int at = 0;
    for (; at + 32 <= dimension; at += 32) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
            step(r, _mm256_cvtps_pd(_mm_loadu_ps(query + at + 4 * r)), _mm256_cvtps_pd(Value::load(row + at + 4 * r)));
        }
    }
    if (at < dimension) {
        typename Value::Type last[32] = {};
        memcpy(last, row + at, static_cast<size_t>(dimension - at) * sizeof last[0]);
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
            step(r, _mm256_cvtps_pd(_mm_loadu_ps(query + at + 4 * r)), _mm256_cvtps_pd(Value::load(last + 4 * r)));
        }
    }
}

template <class Value>
double l2(const void* row, const float* query, int dimension) {
    __m256d sums[8];
    for (__m256d& sum : sums) sum = _mm256_setzero_pd();
    each_four<Value>(row, query, dimension, [&](int r, __m256d q, __m256d x) __attribute__((always_inline)) {
        const __m256d difference = _mm256_sub_pd(q, x);
        sums[r] = _mm256_add_pd(sums[r], _mm256_mul_pd(difference, difference));
    });
    return reduce32(sums);
}

template <class Value>
void dot(const void* row, const float* query, int dimension, double* dot, double* norm) {
    __m256d dots[8];
    __m256d norms[8];
    for (int r = 0; r < 8; ++r) dots[r] = norms[r] = _mm256_setzero_pd();
    each_four<Value>(row, query, dimension, [&](int r, __m256d q, __m256d x) __attribute__((always_inline)) {
        dots[r] = _mm256_fmadd_pd(q, x, dots[r]);
        norms[r] = _mm256_fmadd_pd(x, x, norms[r]);
    });
    *dot = reduce32(dots);
    *norm = reduce32(norms);
}

void widen_f16(const void* halves, int n, float* out) {
    const auto* row = static_cast<const uint16_t*>(halves);
    int j = 0;
    for (; j + 4 <= n; j += 4) _mm_storeu_ps(out + j, Float16::load(row + j));
    for (; j < n; ++j) out[j] = _cvtsh_ss(row[j]);
}

void quantise(const float* values, const float* shift, float scale, float low, float high, int n, int16_t* out) {
    const __m256 s = _mm256_set1_ps(scale);
    for (int j = 0; j < n; j += 8) {
        __m256 value = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(values + j), s), _mm256_loadu_ps(shift + j));
        value = _mm256_max_ps(value, _mm256_set1_ps(low));
        value = _mm256_min_ps(value, _mm256_set1_ps(high));
        const __m256i whole = _mm256_cvtps_epi32(value);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + j),
                         _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1)));
    }
}

}  // namespace

extern const Simd simd_avx2 = {"avx2",      score<FourL2>, score<EightL2>, query_of_row, collect,   peek,    absorb,
                               l2<Float32>, l2<Float16>,   dot<Float32>,   dot<Float16>, widen_f16, quantise};

}  // namespace nearrow
#endif
