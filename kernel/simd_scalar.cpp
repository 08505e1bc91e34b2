// The loops in plain C++: what every other instruction set must reproduce bit for bit.
#include <math.h>
#include <string.h>

#include "simd.h"
#include "simd_plain.h"

namespace nearrow {
namespace {

constexpr int kBlock = 64;

// Calls visit(query index, nibble of high plane, nibble of low plane) for every code of a row.
template <class Visit>
void each_code(const CodeShape& shape, const uint8_t* high, const uint8_t* low, Visit visit) {
    for (int block = 0; block <= shape.full; ++block) {
        const int bytes = block < shape.full ? kBlock : shape.tail;
        for (int j = 0; j < bytes; ++j) {
            const int h = high[block * kBlock + j];
            const int l = low == nullptr ? 0 : low[block * kBlock + j];
            visit(block * 2 * kBlock + j, h & 15, l & 15);
            visit(block * 2 * kBlock + kBlock + j, h >> 4, l >> 4);
        }
    }
}

const uint8_t* high_row(const CodeRows& rows, int32_t node) {
    return rows.high + static_cast<size_t>(node) * rows.high_stride;
}
const uint8_t* low_row(const CodeRows& rows, int32_t node) {
    return rows.low + static_cast<size_t>(node) * rows.low_stride;
}

void four_l2(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    const auto* t = static_cast<const int8_t*>(query);
    for (int i = 0; i < n; ++i) {
        int32_t sum = 0;
        each_code(rows.shape, high_row(rows, nodes[i]), nullptr, [&](int j, int c, int) { sum += c * (4 * c - t[j]); });
        keys[i] = sum;
    }
}

void eight_l2(const CodeRows& rows, const void* query, const int32_t* nodes, int n, int32_t* keys) {
    const auto* q = static_cast<const uint8_t*>(query);
    for (int i = 0; i < n; ++i) {
        int32_t sum = 0;
        each_code(rows.shape, high_row(rows, nodes[i]), low_row(rows, nodes[i]), [&](int j, int h, int l) {
            const int c = 16 * h + l;
            int difference = c < q[j] ? q[j] - c : c - q[j];
            if (difference > 254) difference = 254;
            sum += difference * difference;
        });
        keys[i] = sum;
    }
}

float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
    const uint32_t exponent = (half >> 10) & 31U;
    uint32_t mantissa = half & 1023U;
    uint32_t bits;
    if (exponent == 31) {
        // A signalling NaN becomes quiet, as the processors' own conversion does.
        bits = sign | 0x7F800000U | (mantissa << 13) | (mantissa != 0 ? 0x400000U : 0U);
    } else if (exponent != 0) {
        bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
    } else if (mantissa != 0) {
        uint32_t shift = 0;
        while ((mantissa & 1024U) == 0) {
            mantissa <<= 1;
            ++shift;
        }
        bits = sign | ((113 - shift) << 23) | ((mantissa & 1023U) << 13);
    } else {
        bits = sign;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float load(const float* row, int j) { return row[j]; }
float load(const uint16_t* row, int j) { return half_to_float(row[j]); }

// The order in which every instruction set adds its 32 lanes.
double reduce(const double* lanes) {
    double eight[8];
    for (int j = 0; j < 8; ++j) eight[j] = (lanes[j] + lanes[8 + j]) + (lanes[16 + j] + lanes[24 + j]);
    double four[4];
    for (int j = 0; j < 4; ++j) four[j] = eight[j] + eight[4 + j];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

template <class Value>
double l2(const void* data, const float* query, int dimension) {
    const auto* row = static_cast<const Value*>(data);
    double lanes[32] = {};
    for (int j = 0; j < dimension; ++j) {
        const double difference = static_cast<double>(query[j]) - static_cast<double>(load(row, j));
        lanes[j % 32] += difference * difference;
    }
    return reduce(lanes);
}

template <class Value>
void dot(const void* data, const float* query, int dimension, double* dot, double* norm) {
    const auto* row = static_cast<const Value*>(data);
    double lanes[32] = {};
    double norms[32] = {};
    for (int j = 0; j < dimension; ++j) {
        const double x = load(row, j);
        lanes[j % 32] += static_cast<double>(query[j]) * x;
        norms[j % 32] += x * x;
    }
    *dot = reduce(lanes);
    *norm = reduce(norms);
}

void widen_f16(const void* halves, int n, float* out) {
    for (int j = 0; j < n; ++j) out[j] = half_to_float(static_cast<const uint16_t*>(halves)[j]);
}

void quantise(const float* values, const float* shift, float scale, float low, float high, int n, int16_t* out) {
    for (int j = 0; j < n; ++j) {
        float value = values[j] * scale + shift[j];
        value = value > low ? value : low;
        value = value < high ? value : high;
        out[j] = static_cast<int16_t>(lrintf(value));
    }
}

}  // namespace

extern const Simd simd_scalar = {"scalar", {24, 4, 12}, four_l2,      eight_l2,   query_of_row,  collect,   peek,
                                 absorb,   l2<float>,   l2<uint16_t>, dot<float>, dot<uint16_t>, widen_f16, quantise};

}  // namespace nearrow
