// Rerank: which of a walk's candidates are measured exactly, and what is returned of them?
#include <algorithm>
#include <cmath>

#include "searcher.h"
#include "simd.h"

namespace nearrow {
namespace {

constexpr size_t kRowsAhead = 8;     // vectors that are on their way while one is measured
constexpr size_t kRowsLearnt = 4;    // of the k nearest, those beyond which the error of 8-bit codes is known
constexpr double kDeviations = 4.0;  // of the error of 8-bit codes, within which a row is still measured

}  // namespace

void Searcher::fetch_row(int32_t node) const {
    const auto stands_for = graph_->positions_of(node);
    if (stands_for.empty() || stands_for[0] < 0 || stands_for[0] >= graph_->rows()) return;
    const char* row = static_cast<const char*>(vectors_->row(stands_for[0]));
    const size_t most = static_cast<size_t>(simd().fetching.vector_lines) * 64;
    for (size_t at = 0; at < std::min(vectors_->row_bytes(), most); at += 64) __builtin_prefetch(row + at, 0, 2);
}

// Leaves in nodes_ the candidates, those worth an exact distance by 8-bit codes first; returns how many these are.
size_t Searcher::refine(int64_t k) {
    const Pool& pool = scratch_.pool;
    auto size = static_cast<size_t>(pool.size());
    nodes_.resize(size);
    for (size_t i = 0; i < size; ++i) {
        nodes_[i] = pool_node(pool.data()[i]);
        __builtin_prefetch(graph_->positions_of(nodes_[i]).data());  // else each row's fetch waits for where it lies
    }
    // More for a wide beam: who asks for it wants the last neighbours too.
    const auto wanted = static_cast<size_t>(k + std::max({int64_t{4}, k / 5, static_cast<int64_t>(size / 12)}));
    if (size <= wanted) return size;
    if (graph_->code_kind() == CodeKind::four) {
        // A walk's candidates lie in the order of their 4-bit codes, which puts the nearest ones far to the front.
        const auto front = static_cast<size_t>(6 * k + 16);
        if (!scanned_) size = std::min(size, std::max({front, size / 4, wanted}));
        keys_.resize(size);
        // The nearest by 4-bit codes will be measured whatever their 8-bit codes say.
        for (size_t i = 0; i < std::min(static_cast<size_t>(k), 2 * kRowsAhead); ++i) fetch_row(nodes_[i]);
        eight_bit_scan(graph_->codes(), code_query_.eight())(nodes_.data(), static_cast<int>(size), Fetched::none,
                                                             keys_.data());
        if (graph_->metric() == Metric::dot) {
            const float unit = unit_key(graph_->codebook().step, true);
            scale_by_norms(graph_->norms(), 1.0F, 0, unit, nodes_.data(), static_cast<int>(size), keys_.data());
        }
        order_.resize(size);
        for (size_t i = 0; i < size; ++i) order_[i] = pool_entry(keys_[i], nodes_[i]);
        std::nth_element(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(wanted), order_.end());
        std::sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(wanted));
        for (size_t i = 0; i < size; ++i) nodes_[i] = pool_node(order_[i]);
        if (graph_->metric() != Metric::dot) {
            const float step = graph_->codebook().step;
            const float unit = step * step * (graph_->metric() == Metric::cosine ? 0.5F : 1.0F);
            for (const uint64_t entry : order_) estimates_.push_back(unit * static_cast<float>(pool_key(entry)));
        }
    }
    return wanted;
}

// Appends to hits_ the accepted positions of the candidates from `first` to `last`, measured exactly, and to errors_ by
// how much their codes were wrong, as far as there are estimates. Those before `known` will be measured sooner or
// later.
void Searcher::measure(size_t first, size_t last, size_t known, int64_t k, const AcceptBits& accept) {
    // The rows lie anywhere: while one is measured, the next ones are on their way.
    for (size_t i = first; i < first + kRowsAhead && i < last; ++i) fetch_row(nodes_[i]);
    for (size_t i = first; i < last; ++i) {
        const int32_t node = nodes_[i];
        if (i + kRowsAhead < known) fetch_row(nodes_[i + kRowsAhead]);
        const auto stands_for = graph_->positions_of(node);
        if (stands_for.empty() || stands_for[0] < 0 || stands_for[0] >= graph_->rows()) continue;
        const float distance = exact_.distance(stands_for[0]);
        const uint32_t key = sortable(distance);
        if (i < estimates_.size()) errors_.push_back(estimates_[i] - distance);
        ++counters.reranked;
        int64_t taken = 0;
        for (const int32_t position : stands_for) {
            if (taken == k) break;
            if (position < 0 || position >= graph_->rows() || !accept.test(position)) continue;
            hits_.push_back({key, position});
            ++taken;
        }
    }
}

// How many of the `likely` candidates are worth measuring: the k nearest by 8-bit codes, and those that the error of
// these codes, as seen on the ones measured, may have put behind them.
size_t Searcher::worth_measuring(size_t k, size_t likely) const {
    double sum = 0.0;
    double squares = 0.0;
    for (const float error : errors_) {
        sum += static_cast<double>(error);
        squares += static_cast<double>(error) * static_cast<double>(error);
    }
    const auto n = static_cast<double>(errors_.size());
    const double deviation = n > 1.0 ? std::sqrt(std::max(0.0, (squares - sum * sum / n) / (n - 1.0))) : 0.0;
    const auto limit = static_cast<float>(static_cast<double>(estimates_[k - 1]) + kDeviations * deviation);
    const auto end = estimates_.begin() + static_cast<std::ptrdiff_t>(likely);
    return static_cast<size_t>(std::upper_bound(estimates_.begin(), end, limit) - estimates_.begin());
}

// Whether what was not looked at might be nearer than `farthest`, its codes being as wrong as others were. An error
// that all have in common does not matter.
bool Searcher::doubtful(float farthest) const {
    if (errors_.empty()) return false;
    float sum = 0.0F;
    for (const float error : errors_) sum += error;
    const float common = sum / static_cast<float>(errors_.size());
    float most = 0.0F;
    for (const float error : errors_) most = std::max(most, std::abs(error - common));
    return *std::max_element(estimates_.begin(), estimates_.end()) - common < farthest + most;
}

int64_t Searcher::finish(int64_t k, const AcceptBits& accept, int64_t* positions, float* distances) {
    size_t likely = refine(k);
    hits_.clear();
    errors_.clear();
    size_t first = 0;
    const auto nearest = static_cast<size_t>(k);
    // A wide beam is asked for by who wants the last neighbours too: then nothing likely is left unmeasured.
    const bool may_leave_out = likely <= 2 * nearest && nearest >= 2 * kRowsLearnt;
    if (!scanned_ && accept.data == nullptr && !estimates_.empty() && may_leave_out) {
        first = nearest - kRowsLearnt;
        measure(0, first, nearest, k, accept);
        likely = worth_measuring(nearest, likely);
    }
    size_t count = 0;
    // Far from everything accepted, codes clip and err by more than rows differ: then all candidates are measured, and
    // if they still leave a doubt, only exact distances will do.
    uncertain_ = false;
    for (size_t last = likely; first < last; first = last, last = nodes_.size()) {
        measure(first, last, last, k, accept);
        count = std::min(static_cast<size_t>(k), hits_.size());
        std::partial_sort(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(count), hits_.end());
        uncertain_ = scanned_ && count > 0 && doubtful(from_sortable(hits_[count - 1].key));
        if (!uncertain_) break;
    }
    for (size_t i = 0; i < count; ++i) {
        positions[i] = hits_[i].position;
        distances[i] = from_sortable(hits_[i].key);
    }
    return static_cast<int64_t>(count);
}

}  // namespace nearrow
