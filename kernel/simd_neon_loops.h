// The loops with NEON, compiled twice: plainly, and (`__ARM_FEATURE_DOTPROD`) with the integer dot products of ARMv8.2.
// Everything here has internal linkage, so each set keeps its own copy.
#pragma once

#include <arm_neon.h>
#include <string.h>

#include "simd.h"
#include "simd_plain.h"

namespace nearrow {
namespace {

constexpr int kBlock = 64;

// sum += the products of 16 code nibbles (0 … 15) with signed factors.
inline int32x4_t add_products(int32x4_t sum, uint8x16_t codes, int8x16_t factors) {
    const int8x16_t c = vreinterpretq_s8_u8(codes);
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, c, factors);
#else
    int16x8_t words = vmull_s8(vget_low_s8(c), vget_low_s8(factors));
    words = vmlal_high_s8(words, c, factors);  // |sum of two| <= 3,810: fits
    return vpadalq_s16(sum, words);
#endif
}

// sum += the squares of 16 unsigned bytes.
inline uint32x4_t add_squares(uint32x4_t sum, uint8x16_t t) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_u32(sum, t, t);
#else
    sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(t), vget_low_u8(t)));
    return vpadalq_u16(sum, vmull_high_u8(t, t));
#endif
}

struct FourL2 {
    static constexpr bool two_planes = false;
    using Sum = int32x4_t;
    static inline Sum zero() { return vdupq_n_s32(0); }
    static inline Sum add(Sum sum, uint8x16_t c, uint8x16_t, const uint8_t* query) {
        const int8x16_t t = vreinterpretq_s8_u8(vld1q_u8(query));
        return add_products(sum, c, vsubq_s8(vreinterpretq_s8_u8(vshlq_n_u8(c, 2)), t));
    }
    static inline int32_t total(Sum sum) { return vaddvq_s32(sum); }
};

struct EightL2 {
    static constexpr bool two_planes = true;
    using Sum = uint32x4_t;
    static inline Sum zero() { return vdupq_n_u32(0); }
    static inline Sum add(Sum sum, uint8x16_t high, uint8x16_t low, const uint8_t* query) {
        const uint8x16_t c = vorrq_u8(vshlq_n_u8(high, 4), low);
        return add_squares(sum, vminq_u8(vabdq_u8(c, vld1q_u8(query)), vdupq_n_u8(254)));
    }
    static inline int32_t total(Sum sum) { return static_cast<int32_t>(vaddvq_u32(sum)); }
};

template <class Form>
inline typename Form::Sum add_block(typename Form::Sum sum, const uint8_t* high, const uint8_t* low, const uint8_t* q) {
    const uint8x16_t nibble = vdupq_n_u8(15);
    for (int at = 0; at < kBlock; at += 16) {
        const uint8x16_t h = vld1q_u8(high + at);
        const uint8x16_t l = Form::two_planes ? vld1q_u8(low + at) : h;
        sum = Form::add(sum, vandq_u8(h, nibble), vandq_u8(l, nibble), q + at);
        sum = Form::add(sum, vshrq_n_u8(h, 4), vshrq_n_u8(l, 4), q + at + kBlock);
    }
    return sum;
}

template <class Form>
void score(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    const auto* q = static_cast<const uint8_t*>(query);
    const int full = rows.shape.full;
    const int tail = rows.shape.tail;
    for (int i = 0; i < n; ++i) {
        const uint8_t* high = rows.high + static_cast<size_t>(nodes[i]) * rows.high_stride;
        const uint8_t* low = Form::two_planes ? rows.low + static_cast<size_t>(nodes[i]) * rows.low_stride : high;
        typename Form::Sum sum = Form::zero();
        for (int block = 0; block < full; ++block) {
            sum = add_block<Form>(sum, high + block * kBlock, low + block * kBlock, q + 2 * block * kBlock);
        }
        if (tail > 0) {
            uint8_t last_high[kBlock] = {};
            uint8_t last_low[kBlock] = {};
            memcpy(last_high, high + full * kBlock, static_cast<size_t>(tail));
            if (Form::two_planes) memcpy(last_low, low + full * kBlock, static_cast<size_t>(tail));
            sum = add_block<Form>(sum, last_high, last_low, q + 2 * full * kBlock);
        }
        keys[i] = Form::total(sum);
    }
}

// Two doubles of one lane group; sixteen groups make the 32 lanes.
inline double reduce32(const float64x2_t* sums) {
    float64x2_t eight[4];
    for (int p = 0; p < 4; ++p) {
        eight[p] = vaddq_f64(vaddq_f64(sums[p], sums[4 + p]), vaddq_f64(sums[8 + p], sums[12 + p]));
    }
    const float64x2_t two = vaddq_f64(vaddq_f64(eight[0], eight[2]), vaddq_f64(eight[1], eight[3]));
    return vgetq_lane_f64(two, 0) + vgetq_lane_f64(two, 1);
}

struct Float32 {
    using Type = float;
    static inline float32x4_t load(const float* row) { return vld1q_f32(row); }
};

struct Float16 {
    using Type = uint16_t;
    static inline float32x4_t load(const uint16_t* row) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(row))); }
};

// Calls step(lane group, query as doubles, row as doubles) over the whole row, the end padded with zeros.
template <class Value, class Step>
inline void each_two(const void* data, const float* query, int dimension, Step step) {
    const auto* row = static_cast<const typename Value::Type*>(data);
    typename Value::Type last[32] = {};
    for (int at = 0; at < dimension; at += 32) {
        const typename Value::Type* from = row + at;
        if (at + 32 > dimension) {
            memcpy(last, row + at, static_cast<size_t>(dimension - at) * sizeof last[0]);
            from = last;
        }
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
            const float32x4_t q = vld1q_f32(query + at + 4 * r);
            const float32x4_t x = Value::load(from + 4 * r);
            step(2 * r, vcvt_f64_f32(vget_low_f32(q)), vcvt_f64_f32(vget_low_f32(x)));
            step(2 * r + 1, vcvt_high_f64_f32(q), vcvt_high_f64_f32(x));
        }
    }
}

template <class Value>
double l2(const void* row, const float* query, int dimension) {
    float64x2_t sums[16];
    for (float64x2_t& sum : sums) sum = vdupq_n_f64(0.0);
    each_two<Value>(row, query, dimension, [&](int r, float64x2_t q, float64x2_t x) __attribute__((always_inline)) {
        const float64x2_t difference = vsubq_f64(q, x);
        sums[r] = vaddq_f64(sums[r], vmulq_f64(difference, difference));
    });
    return reduce32(sums);
}

template <class Value>
void dot(const void* row, const float* query, int dimension, double* dot, double* norm) {
    float64x2_t dots[16];
    float64x2_t norms[16];
    for (int r = 0; r < 16; ++r) dots[r] = norms[r] = vdupq_n_f64(0.0);
    each_two<Value>(row, query, dimension, [&](int r, float64x2_t q, float64x2_t x) __attribute__((always_inline)) {
        dots[r] = vfmaq_f64(dots[r], q, x);  // a product of two float32 is exact: fused or not, the same sum
        norms[r] = vfmaq_f64(norms[r], x, x);
    });
    *dot = reduce32(dots);
    *norm = reduce32(norms);
}

void widen_f16(const void* halves, int n, float* out) {
    const auto* row = static_cast<const uint16_t*>(halves);
    int j = 0;
    for (; j + 4 <= n; j += 4) vst1q_f32(out + j, Float16::load(row + j));
    if (j == n) return;
    uint16_t last[4] = {};
    float wide[4];
    memcpy(last, row + j, static_cast<size_t>(n - j) * sizeof last[0]);
    vst1q_f32(wide, Float16::load(last));
    memcpy(out + j, wide, static_cast<size_t>(n - j) * sizeof wide[0]);
}

void quantise(const float* values, const float* shift, float scale, float low, float high, int n, int16_t* out) {
    for (int j = 0; j < n; j += 4) {
        float32x4_t value = vaddq_f32(vmulq_n_f32(vld1q_f32(values + j), scale), vld1q_f32(shift + j));
        value = vmaxnmq_f32(value, vdupq_n_f32(low));  // the number, when one of the two is NaN
        value = vminnmq_f32(value, vdupq_n_f32(high));
        vst1_s16(out + j, vqmovn_s32(vcvtnq_s32_f32(value)));
    }
}

}  // namespace
}  // namespace nearrow
