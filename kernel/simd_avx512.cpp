// The loops with AVX-512 and VNNI: 128 codes of 4 bits per 64-byte load, four rows at a time.
#if defined(__x86_64__)
#include <immintrin.h>

#include "simd.h"

namespace nearrow {
namespace {

constexpr int kBlock = 64;
constexpr Fetching kByRows = {1 << 20, 48, 1 << 20};  // no row is so long that lines would bound it

struct FourL2 {
    static constexpr bool two_planes = false;
    static inline __m512i add(__m512i sum, __m512i code, __m512i, const uint8_t* query, bool high) {
        const __m512i nibble = _mm512_set1_epi8(15);
        const __m512i c = _mm512_and_si512(high ? _mm512_srli_epi16(code, 4) : code, nibble);
        const __m512i t = _mm512_loadu_si512(query);
        return _mm512_dpbusd_epi32(sum, c, _mm512_sub_epi8(_mm512_slli_epi16(c, 2), t));
    }
};

// The 8-bit code from its two planes: 16·high + low.
inline __m512i join(__m512i high, __m512i low, bool upper) {
    const __m512i nibble = _mm512_set1_epi8(15);
    if (upper) return _mm512_ternarylogic_epi64(nibble, _mm512_srli_epi16(low, 4), high, 0xCA);
    return _mm512_ternarylogic_epi64(nibble, low, _mm512_slli_epi16(high, 4), 0xCA);
}

struct EightL2 {
    static constexpr bool two_planes = true;
    static inline __m512i add(__m512i sum, __m512i high, __m512i low, const uint8_t* query, bool upper) {
        const __m512i c = join(high, low, upper);
        const __m512i q = _mm512_loadu_si512(query);
        __m512i t = _mm512_sub_epi8(_mm512_max_epu8(c, q), _mm512_min_epu8(c, q));
        t = _mm512_min_epu8(t, _mm512_set1_epi8(static_cast<char>(254)));
        // t·t = t·⌊t/2⌋ + t·⌈t/2⌉: each half fits the signed operand.
        const __m512i half = _mm512_and_si512(_mm512_srli_epi16(t, 1), _mm512_set1_epi8(127));
        sum = _mm512_dpbusd_epi32(sum, t, half);
        return _mm512_dpbusd_epi32(sum, t, _mm512_sub_epi8(t, half));
    }
};

inline __m128i reduce4(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Full > 0 fixes the number of whole blocks at compile time; 0 reads it from the shape.
template <class Form, int Full>
void score(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    const auto* q = static_cast<const uint8_t*>(query);
    const int full = Full > 0 ? Full : rows.shape.full;
    const int tail = rows.shape.tail;
    const __mmask64 mask = tail > 0 ? ~__mmask64{0} >> (64 - tail) : 0;
    for (int i = 0; i < n; i += 4) {
        const uint8_t* high[4];
        const uint8_t* low[4] = {};
        for (int r = 0; r < 4; ++r) {
            const auto node = static_cast<size_t>(nodes[i + r < n ? i + r : n - 1]);
            high[r] = rows.high + node * rows.high_stride;
            if (Form::two_planes) low[r] = rows.low + node * rows.low_stride;
        }
        __m512i sums[4] = {};
#pragma GCC unroll 8
        for (int block = 0; block < full; ++block) {
            const int at = block * kBlock;
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) {
                const __m512i h = _mm512_loadu_si512(high[r] + at);
                const __m512i l = Form::two_planes ? _mm512_loadu_si512(low[r] + at) : h;
                sums[r] = Form::add(sums[r], h, l, q + 2 * at, false);
                sums[r] = Form::add(sums[r], h, l, q + 2 * at + kBlock, true);
            }
        }
        if (tail > 0) {
            const int at = full * kBlock;
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) {
                const __m512i h = _mm512_maskz_loadu_epi8(mask, high[r] + at);
                const __m512i l = Form::two_planes ? _mm512_maskz_loadu_epi8(mask, low[r] + at) : h;
                sums[r] = Form::add(sums[r], h, l, q + 2 * at, false);
                sums[r] = Form::add(sums[r], h, l, q + 2 * at + kBlock, true);
            }
        }
        const __m128i four = reduce4(sums[0], sums[1], sums[2], sums[3]);
        const __mmask8 wanted = static_cast<__mmask8>(n - i >= 4 ? 15 : (1 << (n - i)) - 1);
        _mm_mask_storeu_epi32(keys + i, wanted, four);
    }
}

template <class Form>
void dispatch(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    switch (rows.shape.full) {
        case 1:
            return score<Form, 1>(rows, query, nodes, n, keys);
        case 2:
            return score<Form, 2>(rows, query, nodes, n, keys);
        case 3:
            return score<Form, 3>(rows, query, nodes, n, keys);
        case 4:
            return score<Form, 4>(rows, query, nodes, n, keys);
        case 6:
            return score<Form, 6>(rows, query, nodes, n, keys);
        default:
            return score<Form, 0>(rows, query, nodes, n, keys);
    }
}

inline double reduce32(__m512d a, __m512d b, __m512d c, __m512d d) {
    const __m512d eight = _mm512_add_pd(_mm512_add_pd(a, b), _mm512_add_pd(c, d));
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

struct Float32 {
    static inline __m256 load(const void* row, int at) { return _mm256_loadu_ps(static_cast<const float*>(row) + at); }
    static inline __m256 load(const void* row, int at, __mmask8 mask) {
        return _mm256_maskz_loadu_ps(mask, static_cast<const float*>(row) + at);
    }
};

struct Float16 {
    static inline __m256 load(const void* row, int at) {
        const auto* halves = static_cast<const uint16_t*>(row) + at;
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
    }
    static inline __m256 load(const void* row, int at, __mmask8 mask) {
        return _mm256_cvtph_ps(_mm_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(row) + at));
    }
};

inline __mmask8 mask_of(int left) {
    return left >= 8 ? __mmask8{255} : left <= 0 ? __mmask8{0} : static_cast<__mmask8>((1 << left) - 1);
}

template <class Value>
double l2(const void* row, const float* query, int dimension) {
    __m512d sums[4] = {_mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd()};
    int at = 0;
    for (; at + 32 <= dimension; at += 32) {
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            const __m512d x = _mm512_cvtps_pd(Value::load(row, at + 8 * r));
            const __m512d q = _mm512_cvtps_pd(_mm256_loadu_ps(query + at + 8 * r));
            const __m512d difference = _mm512_sub_pd(q, x);
            sums[r] = _mm512_add_pd(sums[r], _mm512_mul_pd(difference, difference));
        }
    }
    for (int r = 0; r < 4 && at + 8 * r < dimension; ++r) {
        const __m512d x = _mm512_cvtps_pd(Value::load(row, at + 8 * r, mask_of(dimension - at - 8 * r)));
        const __m512d q = _mm512_cvtps_pd(_mm256_loadu_ps(query + at + 8 * r));
        const __m512d difference = _mm512_sub_pd(q, x);
        sums[r] = _mm512_add_pd(sums[r], _mm512_mul_pd(difference, difference));
    }
    return reduce32(sums[0], sums[1], sums[2], sums[3]);
}

template <class Value>
void dot(const void* row, const float* query, int dimension, double* dot, double* norm) {
    const __m512d zero = _mm512_setzero_pd();
    __m512d dots[4] = {zero, zero, zero, zero};
    __m512d norms[4] = {zero, zero, zero, zero};
    int at = 0;
    // The product of two floats is exact in float64, so fused and separate operations agree here.
    for (; at + 32 <= dimension; at += 32) {
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            const __m512d x = _mm512_cvtps_pd(Value::load(row, at + 8 * r));
            const __m512d q = _mm512_cvtps_pd(_mm256_loadu_ps(query + at + 8 * r));
            dots[r] = _mm512_fmadd_pd(q, x, dots[r]);
            norms[r] = _mm512_fmadd_pd(x, x, norms[r]);
        }
    }
    for (int r = 0; r < 4 && at + 8 * r < dimension; ++r) {
        const __m512d x = _mm512_cvtps_pd(Value::load(row, at + 8 * r, mask_of(dimension - at - 8 * r)));
        const __m512d q = _mm512_cvtps_pd(_mm256_loadu_ps(query + at + 8 * r));
        dots[r] = _mm512_fmadd_pd(q, x, dots[r]);
        norms[r] = _mm512_fmadd_pd(x, x, norms[r]);
    }
    *dot = reduce32(dots[0], dots[1], dots[2], dots[3]);
    *norm = reduce32(norms[0], norms[1], norms[2], norms[3]);
}

void widen_f16(const void* halves, int n, float* out) {
    for (int j = 0; j < n; j += 8) {
        const __mmask8 mask = mask_of(n - j);
        _mm256_mask_storeu_ps(out + j, mask, Float16::load(halves, j, mask));
    }
}

void quantise(const float* values, const float* shift, float scale, float low, float high, int n, int16_t* out) {
    const __m512 s = _mm512_set1_ps(scale);
    for (int j = 0; j < n; j += 16) {
        __m512 value = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(values + j), s), _mm512_loadu_ps(shift + j));
        value = _mm512_max_ps(value, _mm512_set1_ps(low));
        value = _mm512_min_ps(value, _mm512_set1_ps(high));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + j), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value)));
    }
}

int32_t query_of_row(const CodeShape& shape, const uint8_t* high, const uint8_t* low, uint8_t* eight, int8_t* four) {
    __m512i squares = _mm512_setzero_si512();
    for (int block = 0; block <= shape.full; ++block) {
        const int count = block < shape.full ? kBlock : shape.tail;
        const __mmask64 mask = count > 0 ? ~__mmask64{0} >> (64 - count) : 0;
        const __m512i h = _mm512_maskz_loadu_epi8(mask, high + block * kBlock);
        const __m512i l = _mm512_maskz_loadu_epi8(mask, low + block * kBlock);
        for (int upper = 0; upper < 2; ++upper) {
            const __m512i c = join(h, l, upper != 0);
            const __m512i t = _mm512_sub_epi8(_mm512_avg_epu8(c, _mm512_setzero_si512()), _mm512_set1_epi8(4));
            const __m512i size = _mm512_abs_epi8(t);
            squares = _mm512_dpbusd_epi32(squares, size, size);
            _mm512_storeu_si512(eight + block * 128 + upper * kBlock, c);
            _mm512_storeu_si512(four + block * 128 + upper * kBlock, t);
        }
    }
    return _mm512_reduce_add_epi32(squares);
}

// Mark: also set the bits of what is returned.
template <bool Mark>
int gather_fresh(uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out) {
    const __m512i limit = _mm512_set1_epi32(static_cast<int>(nodes));
    int n = 0;
    for (int j = 0; j < width; j += 16) {
        const __mmask16 inside = static_cast<__mmask16>(width - j >= 16 ? 0xFFFF : (1 << (width - j)) - 1);
        const __m512i ids = _mm512_maskz_loadu_epi32(inside, list + j);
        const __mmask16 valid = _mm512_mask_cmplt_epu32_mask(inside, ids, limit);
        if (valid == 0) continue;
        const __m512i words = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), valid, _mm512_srli_epi32(ids, 5),
                                                          reinterpret_cast<const int*>(visited), 4);
        const __m512i bits = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(ids, _mm512_set1_epi32(31)));
        const __mmask16 fresh = static_cast<__mmask16>(valid & ~_mm512_test_epi32_mask(words, bits));
        // Compressing in a register and storing whole is far quicker than the compressing store.
        _mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32(fresh, ids));
        const int end = n + __builtin_popcount(fresh);
        if (Mark) {
            for (; n < end; ++n) visited[static_cast<uint32_t>(out[n]) >> 5] |= 1U << (out[n] & 31);
        }
        n = end;
    }
    return n;
}

int collect(uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out) {
    return gather_fresh<true>(visited, list, width, nodes, out);
}

int peek(const uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out) {
    return gather_fresh<false>(const_cast<uint32_t*>(visited), list, width, nodes, out);
}

}  // namespace

extern const Simd simd_avx512 = {"avx512",     kByRows,      dispatch<FourL2>, dispatch<EightL2>, query_of_row,
                                 collect,      peek,         absorb_avx512,    l2<Float32>,       l2<Float16>,
                                 dot<Float32>, dot<Float16>, widen_f16,        quantise};

}  // namespace nearrow
#endif
