#include "codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace nearrow {
namespace {

constexpr float kFourLow = -67.0F;  // 4·15 − t must fit a signed byte
constexpr float kFourHigh = 127.0F;
constexpr double kShares[] = {0.98, 0.99, 0.995, 0.998, 0.9995, 1.0};  // of the values that a range holds; ascending

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

// What the 4-bit codes lose of the rows: they decide the walk, so their error decides the range.
double error_of(const Candidate& candidate, const std::vector<float>& rows, size_t width, int dimension) {
    const float inverse = 1.0F / candidate.step;
    std::vector<float> shift(width, 0.0F);
    for (size_t j = 0; j < candidate.origin.size(); ++j) shift[j] = -candidate.origin[j] / candidate.step;
    std::vector<int16_t> codes(width);
    double error = 0.0;
    for (size_t at = 0; at < rows.size(); at += width) {
        const float* row = rows.data() + at;
        simd().quantise(row, shift.data(), inverse, 0.0F, 255.0F, static_cast<int>(width), codes.data());
        float sum = 0.0F;
        for (int j = 0; j < dimension; ++j) {
            const float four = static_cast<float>(codes[static_cast<size_t>(j)] & ~15) + 7.5F;
            const float lost = row[j] - (candidate.origin[static_cast<size_t>(j)] + four * candidate.step);
            sum += lost * lost;
        }
        error += static_cast<double>(sum);
    }
    return error;
}

}  // namespace

CodeShape shape_of(int dimensions) {
    const int left = dimensions % 128;
    return {dimensions, dimensions / 128, (((left + 1) / 2) + 7) / 8 * 8};
}

Codebook train_codebook(const Vectors& vectors, Metric metric, const std::vector<int64_t>& sample, Team& team) {
    Codebook book;
    book.metric = metric;
    book.dimension = vectors.dimension();
    book.shape = shape_of(book.dimension);
    book.origin.assign(static_cast<size_t>(book.dimension), 0.0F);
    if (sample.empty()) return book;

    const auto dimension = static_cast<size_t>(book.dimension);
    const size_t width = padded(book.dimension);
    const size_t count = sample.size();
    std::vector<float> rows(count * width, 0.0F);
    team.each(static_cast<int64_t>(count), 32, [&](int, int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
            load_row(vectors, metric, sample[i], rows.data() + i * width);
    });

    std::vector<float> mean(dimension);
    std::vector<float> middle(dimension);
    float lowest = rows[0];
    float highest = rows[0];
    for (size_t j = 0; j < dimension; ++j) {
        double sum = 0.0;
        float low = rows[j];
        float high = rows[j];
        for (size_t i = 0; i < count; ++i) {
            const float value = rows[i * width + j];
            sum += value;
            low = std::min(low, value);
            high = std::max(high, value);
        }
        mean[j] = static_cast<float>(sum / static_cast<double>(count));
        middle[j] = 0.5F * (low + high);
        lowest = std::min(lowest, low);
        highest = std::max(highest, high);
    }
    const std::vector<float> common(dimension, 0.5F * (lowest + highest));
    const std::vector<float>* centres[] = {&mean, &middle, &common};

    // Each centre with ranges that hold most of the values: outliers are clipped rather than stretch the step.
    std::vector<Candidate> candidates(std::size(centres) * std::size(kShares));
    team.each(std::size(centres), 1, [&](int, int64_t begin, int64_t) {
        const std::vector<float>& centre = *centres[begin];
        std::vector<float> spread(count * dimension);
        for (size_t i = 0; i < count; ++i) {
            for (size_t j = 0; j < dimension; ++j)
                spread[i * dimension + j] = std::abs(rows[i * width + j] - centre[j]);
        }
        auto from = spread.begin();
        for (size_t s = 0; s < std::size(kShares); ++s) {
            const auto at =
                spread.begin() + static_cast<std::ptrdiff_t>(kShares[s] * static_cast<double>(spread.size() - 1));
            std::nth_element(from, at, spread.end());
            from = at;
            const float step = *at / 127.5F;
            if (!(step > 0.0F) || !std::isfinite(*at) || !std::isfinite(1.0F / step)) continue;
            Candidate& candidate = candidates[static_cast<size_t>(begin) * std::size(kShares) + s];
            candidate.step = step;
            candidate.origin.resize(dimension);
            for (size_t j = 0; j < dimension; ++j) candidate.origin[j] = centre[j] - *at;
        }
    });
    std::vector<double> errors(candidates.size(), -1.0);
    team.each(static_cast<int64_t>(candidates.size()), 1, [&](int, int64_t at, int64_t) {
        const auto i = static_cast<size_t>(at);
        if (!candidates[i].origin.empty()) errors[i] = error_of(candidates[i], rows, width, book.dimension);
    });
    Candidate best;
    double best_error = -1.0;
    for (size_t i = 0; i < candidates.size(); ++i) {
        if (errors[i] < 0.0 || (best_error >= 0.0 && errors[i] >= best_error)) continue;
        best_error = errors[i];
        best = candidates[i];
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
