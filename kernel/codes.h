// Codes: how does a vector become small integers whose distances order rows as the vectors' distances do?
//
// Under cosine and dot it is the row's direction that is coded; dot keeps the norm beside it.
// value_j ≈ origin_j + step·code_j with an 8-bit code, kept as two planes of nibbles. One step serves all dimensions
// and rows, so sums of integer squares are distances. The high plane alone is a 4-bit code: code_j ≈ 16·high + 7.5.
// Dimensions in which the rows hardly differ may have no code at all.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "parallel.h"
#include "simd.h"
#include "vectors.h"

namespace nearrow {

constexpr int kDimensionMax = 32000;  // 254²·d stays below 2³¹

CodeShape shape_of(int dimensions);
inline int row_bytes(const CodeShape& shape) { return shape.full * 64 + shape.tail; }
// From one row to the next, so that none lies in more cache lines than it must.
inline size_t row_stride(size_t bytes) { return bytes <= 32 ? std::bit_ceil(bytes) : (bytes + 63) / 64 * 64; }
inline int query_bytes(const CodeShape& shape) { return (shape.full + 1) * 128; }
inline size_t padded(int dimensions) { return static_cast<size_t>((dimensions + 127) / 128 * 128); }

struct Codebook {
    Metric metric = Metric::l2;
    int dimension = 0;  // of the vectors
    float step = 1.0F;
    std::vector<int32_t> coded;  // the dimensions that have a code, ascending; empty: all
    std::vector<float> origin;   // [shape.dimensions]
    CodeShape shape{};           // of the dimensions that have a code

    // The values of a vector that have codes: the vector itself, or `room` with them and zeros up to a multiple of 128.
    const float* coded_values(const float* vector, std::vector<float>& room) const;
};

// Loads a row as float32, scaled to unit length unless the metric is l2; returns ‖row‖². `out` is padded as queries
// are.
double load_row(const Vectors& vectors, Metric metric, int64_t position, float* out);

// Learns which dimensions to code, origin and step from rows spread over the vectors; the choice minimises the
// reconstruction error measured on them.
Codebook train_codebook(const Vectors& vectors, Metric metric, const std::vector<int64_t>& sample, Team& team);

// Rows → codes. One encoder per thread.
class Encoder {
  public:
    Encoder(const Vectors& vectors, const Codebook& book);
    // The 8-bit codes of a row, in dimension order, [shape.dimensions] of them (padded storage).
    const int16_t* encode(int64_t position);
    double square() const { return square_; }  // ‖row‖² of the last row encoded

  private:
    const Vectors* vectors_;
    const Codebook* book_;
    std::vector<float> values_;
    std::vector<float> picked_;
    std::vector<float> shift_;
    std::vector<int16_t> codes_;
    double square_ = 0.0;
};

// Packs `dimensions` 8-bit codes into the two planes.
void pack_planes(const CodeShape& shape, const int16_t* codes, uint8_t* high, uint8_t* low);
// A query prepared for the integer loops. Reusable.
class CodeQuery {
  public:
    // `query` is padded with zeros to a multiple of 128 floats beyond its dimension; norm is its length.
    void prepare(const Codebook& book, const float* query, double norm);
    // Prepared from a stored row (squared l2 between codes): used by the build.
    void prepare_from_row(const CodeRows& rows, int32_t node);

    // The query of the last prepare() in the units of the 8-bit codes, by coded dimension, not rounded; padded.
    const float* units();
    const void* four() const { return four_.data(); }
    const void* eight() const { return eight_.data(); }
    // 4-bit keys plus this are 4·‖c − t/8‖²: comparable between queries.
    int32_t four_offset() const { return four_offset_; }

  private:
    void spread(const CodeShape& shape, const int16_t* linear, std::vector<int8_t>& out);
    std::vector<int16_t> linear_;
    std::vector<float> picked_;
    const float* values_ = nullptr;  // of the query, as far as they have codes
    std::vector<float> units_;
    float scale_ = 1.0F;
    std::vector<float> shift_four_;
    std::vector<float> shift_eight_;
    const Codebook* shifts_of_ = nullptr;
    std::vector<int8_t> four_;
    std::vector<int8_t> eight_;
    int32_t four_offset_ = 0;
};

}  // namespace nearrow
