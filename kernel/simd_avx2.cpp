// The loops with AVX2 and F16C: four rows at a time, the same integers as AVX-512, the same float lanes.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "simd.h"
#include "simd_plain.h"

namespace nearrow {
namespace {

constexpr int kBlock = 64;
constexpr int kRows = 4;  // rows scored side by side: one load of the query serves all

inline __m256i load_bytes(const uint8_t* data) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)); }

// Reads the 32 bytes at `data` of a row's last block, whole or as far as the row goes: `left` is a multiple of 8.
inline __m256i load_tail(const uint8_t* data, __m256i mask) {
    return _mm256_maskload_epi32(reinterpret_cast<const int*>(data), mask);
}
inline __m256i tail_mask(int left) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(left / 4), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256i pair_sums(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }

// Each form adds 64 codes to a row's sums: 16 bits wide while they fit, 32 bits wide after `settle`.
struct FourL2 {
    static constexpr bool two_planes = false;
    static constexpr bool narrow = true;
    static inline void add(__m256i& words, __m256i&, __m256i code, __m256i, __m256i lower, __m256i upper) {
        const __m256i nibble = _mm256_set1_epi8(15);
        const __m256i c = _mm256_and_si256(code, nibble);
        const __m256i d = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
        // |sum of two| <= 3,840: no saturation, and eight of them fit 16 bits.
        words = _mm256_add_epi16(words, _mm256_maddubs_epi16(c, _mm256_sub_epi8(_mm256_slli_epi16(c, 2), lower)));
        words = _mm256_add_epi16(words, _mm256_maddubs_epi16(d, _mm256_sub_epi8(_mm256_slli_epi16(d, 2), upper)));
    }
};

inline __m256i squares(__m256i c, __m256i q) {
    __m256i t = _mm256_sub_epi8(_mm256_max_epu8(c, q), _mm256_min_epu8(c, q));
    t = _mm256_min_epu8(t, _mm256_set1_epi8(static_cast<char>(254)));
    const __m256i even = _mm256_and_si256(t, _mm256_set1_epi16(255));
    const __m256i odd = _mm256_srli_epi16(t, 8);
    return _mm256_add_epi32(_mm256_madd_epi16(even, even), _mm256_madd_epi16(odd, odd));
}

struct EightL2 {
    static constexpr bool two_planes = true;
    static constexpr bool narrow = false;
    static inline void add(__m256i&, __m256i& sum, __m256i high, __m256i low, __m256i lower, __m256i upper) {
        const __m256i nibble = _mm256_set1_epi8(15);
        const __m256i c =
            _mm256_or_si256(_mm256_slli_epi16(_mm256_and_si256(high, nibble), 4), _mm256_and_si256(low, nibble));
        const __m256i d =
            _mm256_or_si256(_mm256_andnot_si256(nibble, high), _mm256_and_si256(_mm256_srli_epi16(low, 4), nibble));
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(squares(c, lower), squares(d, upper)));
    }
};

// The four sums of four rows.
inline __m128i reduce4(const __m256i* sums) {
    const __m256i ab =
        _mm256_add_epi32(_mm256_unpacklo_epi32(sums[0], sums[1]), _mm256_unpackhi_epi32(sums[0], sums[1]));
    const __m256i cd =
        _mm256_add_epi32(_mm256_unpacklo_epi32(sums[2], sums[3]), _mm256_unpackhi_epi32(sums[2], sums[3]));
    const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

template <class Form>
inline void settle(__m256i* words, __m256i* sums) {
    if (!Form::narrow) return;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
        sums[r] = _mm256_add_epi32(sums[r], pair_sums(words[r]));
        words[r] = _mm256_setzero_si256();
    }
}

// Full > 0 fixes the number of whole blocks at compile time; 0 reads it from the shape.
template <class Form, int Full>
void score(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    const auto* q = static_cast<const uint8_t*>(query);
    const int full = Full > 0 ? Full : rows.shape.full;
    const int tail = rows.shape.tail;
    for (int i = 0; i < n; i += kRows) {
        const uint8_t* high[kRows];
        const uint8_t* low[kRows] = {};
        for (int r = 0; r < kRows; ++r) {
            const auto node = static_cast<size_t>(nodes[i + r < n ? i + r : n - 1]);
            high[r] = rows.high + node * rows.high_stride;
            if (Form::two_planes) low[r] = rows.low + node * rows.low_stride;
        }
        __m256i words[kRows] = {};
        __m256i sums[kRows] = {};
#pragma GCC unroll 8
        for (int half = 0; half < 2 * full; ++half) {
            const int at = half * 32;
            const uint8_t* t = q + (half / 2) * 2 * kBlock + (half % 2) * 32;
            const __m256i lower = load_bytes(t);
            const __m256i upper = load_bytes(t + kBlock);
#pragma GCC unroll 4
            for (int r = 0; r < kRows; ++r) {
                const __m256i h = load_bytes(high[r] + at);
                const __m256i l = Form::two_planes ? load_bytes(low[r] + at) : h;
                Form::add(words[r], sums[r], h, l, lower, upper);
            }
            if (half % 4 == 3) settle<Form>(words, sums);
        }
        // At most two whole halves and two of the tail are in `words` here.
        for (int at = 0; at < tail; at += 32) {
            const __m256i mask = tail_mask(tail - at);
            const uint8_t* t = q + full * 2 * kBlock + at;
            const __m256i lower = load_bytes(t);
            const __m256i upper = load_bytes(t + kBlock);
#pragma GCC unroll 4
            for (int r = 0; r < kRows; ++r) {
                const __m256i h = load_tail(high[r] + full * kBlock + at, mask);
                const __m256i l = Form::two_planes ? load_tail(low[r] + full * kBlock + at, mask) : h;
                Form::add(words[r], sums[r], h, l, lower, upper);
            }
        }
        settle<Form>(words, sums);
        const __m128i four = reduce4(sums);
        if (n - i >= kRows) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(keys + i), four);
        } else {
            int32_t last[kRows];
            _mm_storeu_si128(reinterpret_cast<__m128i*>(last), four);
            for (int r = 0; i + r < n; ++r) keys[i + r] = last[r];
        }
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

// The number of entries below `entry` in a sorted pool, which has room for 16 more.
inline int place_of(const uint64_t* pool, int size, uint64_t entry) {
    int low = 0;
    while (size - low > 64) {
        const int middle = low + (size - low) / 2;
        const bool after = pool[middle] < entry;
        low = after ? middle + 1 : low;
        size = after ? size : middle;
    }
    // Counting all of a short stretch costs less than the branches of a search.
    const __m256i sign = _mm256_set1_epi64x(static_cast<long long>(uint64_t{1} << 63));
    const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<long long>(entry)), sign);
    const __m256i end = _mm256_set1_epi64x(size);
    __m256i lane = _mm256_add_epi64(_mm256_set1_epi64x(low), _mm256_setr_epi64x(0, 1, 2, 3));
    __m256i below = _mm256_setzero_si256();
    for (int at = low; at < size; at += 4) {
        const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pool + at));
        const __m256i less = _mm256_cmpgt_epi64(wanted, _mm256_xor_si256(four, sign));
        below = _mm256_sub_epi64(below, _mm256_and_si256(less, _mm256_cmpgt_epi64(end, lane)));
        lane = _mm256_add_epi64(lane, _mm256_set1_epi64x(4));
    }
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(below), _mm256_extracti128_si256(below, 1));
    return low + static_cast<int>(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1));
}

int absorb_near(uint64_t** buffers, int* size, int capacity, const int32_t* nodes, const int32_t* keys, int n,
                const int32_t* lists, int width) {
    uint64_t* pool = buffers[0];
    int filled = *size;
    int lowest = filled;
    for (int i = 0; i < n; i += 8) {
        const __m256i inside = tail_mask(n - i >= 8 ? 32 : (n - i) * 4);
        const int worst = filled == capacity
                              ? static_cast<int>(static_cast<uint32_t>(pool[filled - 1] >> 32) ^ 0x80000000U)
                              : 0x7FFFFFFF;
        const __m256i far = _mm256_cmpgt_epi32(_mm256_maskload_epi32(keys + i, inside), _mm256_set1_epi32(worst));
        auto near = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(far, inside))));
        for (; near != 0; near &= near - 1) {
            const int j = i + __builtin_ctz(near);
            const uint64_t entry = (static_cast<uint64_t>(static_cast<uint32_t>(keys[j]) ^ 0x80000000U) << 32) |
                                   (static_cast<uint64_t>(static_cast<uint32_t>(nodes[j])) << 1);
            if (filled == capacity && entry >= pool[filled - 1]) continue;
            const char* list = reinterpret_cast<const char*>(lists + static_cast<int64_t>(nodes[j]) * width);
            for (int at = 0; at < 4 * width; at += 64) __builtin_prefetch(list + at);
            const int place = place_of(pool, filled, entry);
            const int end = filled == capacity ? filled - 1 : filled;
            filled = end + 1;
            // Each load is ahead of the store that would overwrite it; what is moved beyond the end is nobody's.
            auto* to = reinterpret_cast<__m256i*>(pool + place + 1);
            __m256i moved = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pool + place));
            for (int at = place; at < end; at += 4) {
                const __m256i next = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pool + at + 4));
                _mm256_storeu_si256(to++, moved);
                moved = next;
            }
            pool[place] = entry;
            lowest = place < lowest ? place : lowest;
        }
    }
    *size = filled;
    return lowest;
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

extern const Simd simd_avx2 = {"avx2",       {24, 4, 12},  dispatch<FourL2>, dispatch<EightL2>, query_of_row,
                               collect,      peek,         absorb_near,      l2<Float32>,       l2<Float16>,
                               dot<Float32>, dot<Float16>, widen_f16,        quantise};

}  // namespace nearrow
#endif
