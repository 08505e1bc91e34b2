// Codebook: which dimensions are coded, and with which origin and step? Learnt from a sample of the rows.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "codes.h"

namespace nearrow {
namespace {

constexpr double kShares[] = {0.98, 0.99, 0.995, 0.998, 0.9995, 1.0};  // of the values that a range holds; ascending
constexpr double kUncoded = 0.001;  // of the variance, that dimensions without a code may have
constexpr int kWhole = 128;         // dimensions that fill a line of 4-bit codes
constexpr size_t kJudges = 256;     // rows, fewer of which do not tell how little a dimension varies

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

// The dimensions to code, when without those that hardly vary the others fill whole lines; none: all of them. Rows of
// `width` values, of which `dimension` count.
std::vector<int32_t> worth_coding(const std::vector<float>& rows, size_t width, int dimension) {
    if (rows.size() / width < kJudges) return {};
    const auto d = static_cast<size_t>(dimension);
    const auto count = static_cast<double>(rows.size() / width);
    std::vector<double> sums(d);
    std::vector<double> squares(d);
    for (size_t at = 0; at < rows.size(); at += width) {
        for (size_t j = 0; j < d; ++j) {
            const double value = rows[at + j];
            sums[j] += value;
            squares[j] += value * value;
        }
    }
    std::vector<double> variance(d);
    for (size_t j = 0; j < d; ++j) variance[j] = std::max(0.0, squares[j] - sums[j] * sums[j] / count);
    std::vector<int32_t> order(d);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return variance[static_cast<size_t>(a)] < variance[static_cast<size_t>(b)];
    });
    double left = kUncoded * std::accumulate(variance.begin(), variance.end(), 0.0);
    if (!(left > 0.0)) return {};
    int spare = 0;
    while (spare < dimension - kWhole &&
           (left -= variance[static_cast<size_t>(order[static_cast<size_t>(spare)])]) >= 0)
        ++spare;
    const int coded = (dimension - spare + kWhole - 1) / kWhole * kWhole;
    if (coded >= dimension) return {};
    order.erase(order.begin(), order.begin() + (dimension - coded));
    std::sort(order.begin(), order.end());
    return order;
}

}  // namespace

Codebook train_codebook(const Vectors& vectors, Metric metric, const std::vector<int64_t>& sample, Team& team) {
    Codebook book;
    book.metric = metric;
    book.dimension = vectors.dimension();
    const size_t count = sample.size();
    size_t width = padded(book.dimension);
    std::vector<float> rows(count * width, 0.0F);
    team.each(static_cast<int64_t>(count), 32, [&](int, int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
            load_row(vectors, metric, sample[i], rows.data() + i * width);
    });
    book.coded = worth_coding(rows, width, book.dimension);
    book.shape = shape_of(book.coded.empty() ? book.dimension : static_cast<int>(book.coded.size()));
    const auto dimension = static_cast<size_t>(book.shape.dimensions);
    book.origin.assign(dimension, 0.0F);
    if (sample.empty()) return book;
    if (!book.coded.empty()) {
        std::vector<float> picked;
        for (size_t i = 0; i < count; ++i) {
            book.coded_values(rows.data() + i * width, picked);
            std::copy(picked.begin(), picked.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * picked.size()));
        }
        width = picked.size();
        rows.resize(count * width);
    }

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
        if (!candidates[i].origin.empty())
            errors[i] = error_of(candidates[i], rows, width, static_cast<int>(dimension));
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

}  // namespace nearrow
