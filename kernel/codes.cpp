#include "codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace nearrow {
namespace {

constexpr float kFourLow = -67.0F;  // 4·15 − t must fit a signed byte
constexpr float kFourHigh = 127.0F;

size_t padded(int dimension) { return static_cast<size_t>((dimension + 127) / 128 * 128); }

// Loads a row as float32, scaled to unit length unless the metric is l2; returns ‖row‖². `out` is padded as queries
// are.
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

struct Candidate {
    std::vector<float> origin;
    float step = 1.0F;
};

double error_of(const Candidate& candidate, const std::vector<float>& rows, int dimension) {
    double error = 0.0;
    const float inverse = 1.0F / candidate.step;
    for (size_t i = 0; i < rows.size() / static_cast<size_t>(dimension); ++i) {
        const float* row = rows.data() + i * static_cast<size_t>(dimension);
        double sum = 0.0;
        for (int j = 0; j < dimension; ++j) {
            const float position =
                std::clamp((row[j] - candidate.origin[static_cast<size_t>(j)]) * inverse, 0.0F, 255.0F);
            // The 4-bit code decides the walk, so its error decides the range.
            const float four = std::floor(std::min(std::nearbyint(position), 255.0F) / 16.0F) * 16.0F + 7.5F;
            const float back = candidate.origin[static_cast<size_t>(j)] + four * candidate.step;
            sum += static_cast<double>(row[j] - back) * static_cast<double>(row[j] - back);
        }
        error += sum;
    }
    return error;
}

}  // namespace

CodeShape shape_of(int dimensions) {
    const int left = dimensions % 128;
    return {dimensions, dimensions / 128, (((left + 1) / 2) + 7) / 8 * 8};
}

Codebook train_codebook(const Vectors& vectors, Metric metric, const std::vector<int64_t>& sample) {
    Codebook book;
    book.metric = metric;
    book.dimension = vectors.dimension();
    book.shape = shape_of(book.dimension);
    book.origin.assign(static_cast<size_t>(book.dimension), 0.0F);
    if (sample.empty()) return book;

    const auto dimension = static_cast<size_t>(book.dimension);
    std::vector<float> rows(sample.size() * dimension);
    std::vector<float> row(padded(book.dimension));
    for (size_t i = 0; i < sample.size(); ++i) {
        load_row(vectors, metric, sample[i], row.data());
        std::copy_n(row.begin(), dimension, rows.begin() + static_cast<std::ptrdiff_t>(i * dimension));
    }

    std::vector<float> mean(dimension);
    std::vector<float> middle(dimension);
    for (size_t j = 0; j < dimension; ++j) {
        double sum = 0.0;
        float low = rows[j];
        float high = rows[j];
        for (size_t i = 0; i < sample.size(); ++i) {
            const float value = rows[i * dimension + j];
            sum += value;
            low = std::min(low, value);
            high = std::max(high, value);
        }
        mean[j] = static_cast<float>(sum / static_cast<double>(sample.size()));
        middle[j] = 0.5F * (low + high);
    }
    const auto [lowest, highest] = std::minmax_element(rows.begin(), rows.end());
    const std::vector<float> common(dimension, 0.5F * (*lowest + *highest));

    Candidate best;
    double best_error = -1.0;
    std::vector<float> spread(rows.size());
    for (const std::vector<float>* centre :
         {static_cast<const std::vector<float>*>(&mean), static_cast<const std::vector<float>*>(&middle), &common}) {
        for (size_t i = 0; i < rows.size(); ++i) spread[i] = std::abs(rows[i] - (*centre)[i % dimension]);
        std::sort(spread.begin(), spread.end());
        for (const double share : {0.98, 0.99, 0.995, 0.998, 0.9995, 1.0}) {
            const auto at = static_cast<size_t>(share * static_cast<double>(spread.size() - 1));
            const float range = spread[at];
            if (!(range > 0.0F) || !std::isfinite(range)) continue;
            Candidate candidate;
            candidate.step = range / 127.5F;
            if (!(candidate.step > 0.0F) || !std::isfinite(1.0F / candidate.step)) continue;
            candidate.origin.resize(dimension);
            for (size_t j = 0; j < dimension; ++j) candidate.origin[j] = (*centre)[j] - range;
            const double error = error_of(candidate, rows, book.dimension);
            if (best_error < 0.0 || error < best_error) {
                best_error = error;
                best = candidate;
            }
        }
    }
    if (best_error >= 0.0) {
        book.step = best.step;
        book.origin = best.origin;
    } else {
        book.origin = mean;  // all rows are equal: any step will do
    }
    return book;
}

Encoder::Encoder(const Vectors& vectors, const Codebook& book) : vectors_(&vectors), book_(&book) {
    const size_t n = padded(book.dimension);
    values_.assign(n, 0.0F);
    shift_.assign(n, 0.0F);
    codes_.assign(n, 0);
    for (size_t j = 0; j < book.origin.size(); ++j) shift_[j] = -book.origin[j] / book.step;
}

const int16_t* Encoder::encode(int64_t position) {
    square_ = load_row(*vectors_, book_->metric, position, values_.data());
    simd().quantise(values_.data(), shift_.data(), 1.0F / book_->step, 0.0F, 255.0F, static_cast<int>(values_.size()),
                    codes_.data());
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
    const int whole = shape.full * 128;
    for (int j = 0; j < whole; ++j) out[static_cast<size_t>(j)] = static_cast<int8_t>(linear[j]);
    std::fill(out.begin() + whole, out.end(), static_cast<int8_t>(0));
    for (int j = 0; whole + j < shape.dimensions; ++j) {
        const int at = j < shape.tail ? whole + j : whole + 64 + j - shape.tail;
        out[static_cast<size_t>(at)] = static_cast<int8_t>(linear[whole + j]);
    }
}

void CodeQuery::prepare(const Codebook& book, const float* query, double norm) {
    const size_t n = padded(book.dimension);
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
    loops.quantise(query, shift_eight_.data(), scale_, 0.0F, 255.0F, static_cast<int>(n), linear_.data());
    spread(book.shape, linear_.data(), eight_);
    loops.quantise(query, shift_four_.data(), scale_ * 0.5F, kFourLow, kFourHigh, static_cast<int>(n), linear_.data());
    spread(book.shape, linear_.data(), four_);
    int32_t squares = 0;
    for (const int8_t t : four_) squares += t * t;
    four_offset_ = squares / 16;
}

const float* CodeQuery::units(const float* query) {
    units_.resize(shift_eight_.size());
    for (size_t j = 0; j < units_.size(); ++j) units_[j] = query[j] * scale_ + shift_eight_[j];
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
