#include "linker.h"

#include <algorithm>

#include "norms.h"

namespace nearrow {
namespace {

constexpr size_t kSoon = 3;  // candidates that may be kept next: all of their codes are fetched

}  // namespace

void RowScorer::fetch_for_set(int32_t node) const {
#if defined(__GNUC__)
    const auto at = static_cast<size_t>(node);
    const int bytes = row_bytes(rows_->codes.shape);
    for (int line = 0; line < bytes; line += 64)
        __builtin_prefetch(rows_->codes.low + at * rows_->codes.low_stride + line);
#endif
}

void RowScorer::set(int32_t node) {
    node_ = node;
    query_.prepare_from_row(rows_->codes, node);
}

void RowScorer::directions(const int32_t* nodes, int n, Fetched fetched, int32_t* keys) const {
    scan()(nodes, n, fetched, keys);
    if (eight_) return;
    for (int i = 0; i < n; ++i) keys[i] += query_.four_offset();
}

void RowScorer::products(const int32_t* nodes, int n, int32_t* keys) const {
    const float unit = eight_ ? rows_->unit * 64.0F : rows_->unit;
    scale_by_norms(rows_->norms.data(), rows_->norms[static_cast<size_t>(node_)], 0, unit, nodes, n, keys);
}

void RowScorer::operator()(const int32_t* nodes, int n, Fetched fetched, int32_t* keys) const {
    directions(nodes, n, fetched, keys);
    if (products_ && !rows_->norms.empty()) products(nodes, n, keys);
}

void Linker::measure(int32_t node, const int32_t* nodes, int n, std::vector<uint64_t>& out) {
    keys_.resize(static_cast<size_t>(n));
    scorer_(nodes, n, Fetched::none, keys_.data());
    out.clear();
    for (int i = 0; i < n; ++i) {
        if (nodes[i] != node) out.push_back(pool_entry(keys_[static_cast<size_t>(i)], nodes[i]));
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
}

void Linker::extend(const std::vector<uint64_t>& candidates, Keys keys, int limit, std::vector<int32_t>& out) {
    const size_t before = out.size();
    const size_t size = candidates.size();
    nodes_.resize(size);
    distances_.resize(size);
    keys_.resize(size);
    in_doubt_.assign(size, 0);
    for (size_t i = 0; i < size; ++i) {
        nodes_[i] = pool_node(candidates[i]);
        distances_[i] = pool_key(candidates[i]);
    }
    // The codes of all candidates are near: they have just been scored.
    const auto n = static_cast<int>(size);
    if (keys == Keys::products) scorer_.directions(nodes_.data(), n, Fetched::all, distances_.data());
    const auto to_front = [](auto& values, size_t at) {
        std::rotate(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at),
                    values.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    };
    size_t left = size;
    while (left > 0 && static_cast<int>(out.size()) < limit) {
        const auto end = in_doubt_.begin() + static_cast<std::ptrdiff_t>(left);
        const auto sure = std::find(in_doubt_.begin(), end, 0);
        if (sure != in_doubt_.begin() && sure != end) {
            const auto at = static_cast<size_t>(sure - in_doubt_.begin());
            to_front(nodes_, at);
            to_front(distances_, at);
            to_front(in_doubt_, at);
        }
        const int32_t kept = nodes_[0];
        const auto known = out.begin() + static_cast<std::ptrdiff_t>(before);
        if (std::find(out.begin(), known, kept) == known) out.push_back(kept);
        if (static_cast<int>(out.size()) == limit) return;
        for (size_t i = 1; i < std::min<size_t>(left, kSoon + 1); ++i) pairs_.fetch_for_set(nodes_[i]);
        pairs_.set(kept);
        pairs_.directions(nodes_.data() + 1, static_cast<int>(left - 1), Fetched::all, keys_.data());
        size_t next = 0;
        for (size_t i = 1; i < left; ++i) {
            const auto apart = static_cast<float>(keys_[i - 1]);
            const auto far = static_cast<float>(distances_[i]);
            nodes_[next] = nodes_[i];
            distances_[next] = distances_[i];
            in_doubt_[next] = static_cast<uint8_t>(in_doubt_[i] | (rule_.alpha * apart < far ? 1 : 0));
            next += rule_.alpha_to_fill * apart < far ? 0 : 1;
        }
        left = next;
    }
}

void Linker::prune(int32_t node, const int32_t* nodes, int n, int limit, std::vector<int32_t>& out) {
    out.clear();
    scorer_.set(node);
    measure(node, nodes, n, sorted_);
    if (rows_->norms.empty()) return extend(sorted_, Keys::distances, limit, out);
    extend(sorted_, Keys::products, by_product(limit), out);
    scorer_.use_products(false);
    measure(node, nodes, n, sorted_);
    extend(sorted_, Keys::distances, limit, out);
    scorer_.use_products(true);
}

}  // namespace nearrow
