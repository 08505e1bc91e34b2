#include "codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace nearrow {
namespace {

constexpr float kFourLow = -67.0F;  // 4·15 − t must fit a signed byte
constexpr float kFourHigh = 127.0F;

}  // namespace

CodeShape shape_of(int dimensions) {
    const int left = dimensions % 128;
    return {dimensions, dimensions / 128, (((left + 1) / 2) + 7) / 8 * 8};
}

double load_row(const Vectors& vectors, Metric metric, int64_t position, float* out) {
    const int dimension = vectors.dimension();
    const void* row = vectors.row(position);
    if (vectors.element() == Element::float16) {
        simd().widen_f16(row, dimension, out);
    } else {
        std::memcpy(out, row, static_cast<size_t>(dimension) * sizeof(float));
    }
    double dot = 0.0;
    double square = 0.0;
    simd().dot_f32(out, out, dimension, &dot, &square);
    if (metric != Metric::l2 && square > 0.0) {
        const auto scale = static_cast<float>(1.0 / std::sqrt(square));
        for (int j = 0; j < dimension; ++j) out[j] *= scale;
    }
    return square;
}

const float* Codebook::coded_values(const float* vector, std::vector<float>& room) const {
    if (coded.empty()) return vector;
    room.resize(padded(shape.dimensions));
    for (size_t j = 0; j < coded.size(); ++j) room[j] = vector[coded[j]];
    return room.data();
}

Encoder::Encoder(const Vectors& vectors, const Codebook& book) : vectors_(&vectors), book_(&book) {
    const size_t n = padded(book.shape.dimensions);
    values_.assign(padded(book.dimension), 0.0F);
    shift_.assign(n, 0.0F);
    codes_.assign(n, 0);
    for (size_t j = 0; j < book.origin.size(); ++j) shift_[j] = -book.origin[j] / book.step;
}

const int16_t* Encoder::encode(int64_t position) {
    square_ = load_row(*vectors_, book_->metric, position, values_.data());
    simd().quantise(book_->coded_values(values_.data(), picked_), shift_.data(), 1.0F / book_->step, 0.0F, 255.0F,
                    static_cast<int>(codes_.size()), codes_.data());
    return codes_.data();
}

void pack_planes(const CodeShape& shape, const int16_t* codes, uint8_t* high, uint8_t* low) {
    for (int block = 0; block <= shape.full; ++block) {
        const int bytes = block < shape.full ? 64 : shape.tail;
        for (int j = 0; j < bytes; ++j) {
            const int first = block * 128 + j;
            const int second = first + bytes;
            const int a = first < shape.dimensions ? codes[first] : 0;
            const int b = second < shape.dimensions ? codes[second] : 0;
            high[block * 64 + j] = static_cast<uint8_t>((a >> 4) | (b & 0xF0));
            low[block * 64 + j] = static_cast<uint8_t>((a & 15) | ((b & 15) << 4));
        }
    }
}

// From dimension order to the layout of queries.
void CodeQuery::spread(const CodeShape& shape, const int16_t* linear, std::vector<int8_t>& out) {
    out.resize(static_cast<size_t>(query_bytes(shape)));
    int8_t* to = out.data();  // bytes may alias anything, the vector's own pointer too
    const int whole = shape.full * 128;
    const int first = std::min(shape.tail, shape.dimensions - whole);
    const int second = shape.dimensions - whole - first;
    const auto copy = [](const int16_t* from, int n, int8_t* into) {
        for (int j = 0; j < n; ++j) into[j] = static_cast<int8_t>(from[j]);
    };
    std::memset(to + whole, 0, out.size() - static_cast<size_t>(whole));
    copy(linear, whole, to);
    copy(linear + whole, first, to + whole);
    copy(linear + whole + first, second, to + whole + 64);
}

void CodeQuery::prepare(const Codebook& book, const float* query, double norm) {
    const size_t n = padded(book.shape.dimensions);
    values_ = book.coded_values(query, picked_);
    linear_.resize(n);
    const Simd& loops = simd();
    if (shifts_of_ != &book || shift_four_.size() != n) {
        shift_four_.assign(n, 0.0F);
        shift_eight_.assign(n, 0.0F);
        for (size_t j = 0; j < book.origin.size(); ++j) {
            shift_eight_[j] = -book.origin[j] / book.step;
            shift_four_[j] = shift_eight_[j] * 0.5F - 3.75F;
        }
        shifts_of_ = &book;
    }
    scale_ = static_cast<float>((book.metric != Metric::l2 && norm > 0.0 ? 1.0 / norm : 1.0) /
                                static_cast<double>(book.step));
    loops.quantise(values_, shift_eight_.data(), scale_, 0.0F, 255.0F, static_cast<int>(n), linear_.data());
    spread(book.shape, linear_.data(), eight_);
    loops.quantise(values_, shift_four_.data(), scale_ * 0.5F, kFourLow, kFourHigh, static_cast<int>(n),
                   linear_.data());
    spread(book.shape, linear_.data(), four_);
    int32_t squares = 0;
    for (const int8_t t : four_) squares += t * t;
    four_offset_ = squares / 16;
}

const float* CodeQuery::units() {
    units_.resize(shift_eight_.size());
    for (size_t j = 0; j < units_.size(); ++j) units_[j] = values_[j] * scale_ + shift_eight_[j];
    return units_.data();
}

void CodeQuery::prepare_from_row(const CodeRows& rows, int32_t node) {
    const auto bytes = static_cast<size_t>(query_bytes(rows.shape));
    eight_.resize(bytes);
    four_.resize(bytes);
    const auto at = static_cast<size_t>(node);
    const int32_t squares =
        simd().query_of_row(rows.shape, rows.high + at * rows.high_stride, rows.low + at * rows.low_stride,
                            reinterpret_cast<uint8_t*>(eight_.data()), four_.data());
    // Padding has t = −4 too; it meets only zero codes and must not count.
    four_offset_ = (squares - 16 * (static_cast<int32_t>(bytes) - rows.shape.dimensions)) / 16;
}

}  // namespace nearrow
