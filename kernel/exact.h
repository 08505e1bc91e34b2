// Exact: what is the true distance between a query and a stored vector? Float64 sums, the same on every machine.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "simd.h"
#include "vectors.h"

namespace nearrow {

// l2: squared Euclidean distance; cosine: 1 − cos (1 for a zero row); dot: −dot.
class ExactScorer {
  public:
    ExactScorer(const Vectors& vectors, Metric metric) : vectors_(&vectors), metric_(metric) {
        half_ = vectors.element() == Element::float16;
        padded_.resize(static_cast<size_t>((vectors.dimension() + 127) / 128 * 128) + 128);
    }

    // Returns false when the query holds NaN or infinity, or is zero under cosine.
    bool set_query(const float* query) {
        const auto dimension = static_cast<size_t>(vectors_->dimension());
        std::copy(query, query + dimension, padded_.begin());
        double square = 0.0;
        double norm = 0.0;
        simd_->dot_f32(query, padded_.data(), vectors_->dimension(), &square, &norm);
        norm_ = std::sqrt(square);
        return std::isfinite(norm_) && (metric_ != Metric::cosine || norm_ > 0.0);
    }
    double query_norm() const { return norm_; }
    const float* padded_query() const { return padded_.data(); }

    float distance(int64_t position) const {
        const void* row = vectors_->row(position);
        const int dimension = vectors_->dimension();
        if (metric_ == Metric::l2) {
            return static_cast<float>(half_ ? simd_->l2_f16(row, padded_.data(), dimension)
                                            : simd_->l2_f32(row, padded_.data(), dimension));
        }
        double dot = 0.0;
        double square = 0.0;
        if (half_) {
            simd_->dot_f16(row, padded_.data(), dimension, &dot, &square);
        } else {
            simd_->dot_f32(row, padded_.data(), dimension, &dot, &square);
        }
        if (metric_ == Metric::dot) return static_cast<float>(-dot);
        const double scale = norm_ * std::sqrt(square);
        return scale > 0.0 ? static_cast<float>(1.0 - dot / scale) : 1.0F;
    }

  private:
    const Vectors* vectors_;
    Metric metric_;
    bool half_ = false;
    const Simd* simd_ = &simd();
    double norm_ = 0.0;
    std::vector<float> padded_;
};

// Unsigned bits that sort as the floats do (NaN sorts last).
inline uint32_t sortable(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    return bits ^ ((bits & 0x80000000U) != 0 ? 0xFFFFFFFFU : 0x80000000U);
}
inline float from_sortable(uint32_t bits) {
    return std::bit_cast<float>(bits ^ ((bits & 0x80000000U) != 0 ? 0x80000000U : 0xFFFFFFFFU));
}

}  // namespace nearrow
