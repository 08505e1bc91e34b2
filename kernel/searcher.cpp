#include "searcher.h"

#include <algorithm>
#include <cmath>

#include "flat_scan.h"

namespace nearrow {
namespace {

constexpr double kMissAllowed = 0.8;  // of the misses that a target recall would allow
constexpr size_t kRowsAhead = 4;

// Exact distances as walk keys, for graphs without codes.
struct FloatScorer {
    const GraphView* graph;
    const ExactScorer* exact;
    void operator()(const int32_t* nodes, int n, int, int32_t* keys) const {
        for (int i = 0; i < n; ++i) {
            const auto positions = graph->positions_of(nodes[i]);
            const bool sound = !positions.empty() && positions[0] >= 0 && positions[0] < graph->rows();
            const float distance = sound ? exact->distance(positions[0]) : INFINITY;
            keys[i] = static_cast<int32_t>(sortable(distance) ^ 0x80000000U);
        }
    }
};

double recall_at(const CurvePoint& point, int64_t k) {
    return k <= 1 ? point.recall1 : k <= 10 ? point.recall10 : point.recall100;
}

double beam_on_curve(const GraphView& graph, double target, int64_t k) {
    const auto curve = graph.curve();
    for (size_t i = 0; i < curve.size(); ++i) {
        const double recall = recall_at(curve[i], k);
        if (recall < target) continue;
        if (i == 0) return curve[0].ef;
        const double before = recall_at(curve[i - 1], k);
        if (recall <= before) return curve[i].ef;
        // Between two points, log(1 − recall) is close to linear in log(ef).
        const auto miss = [](double value) { return std::log(std::max(1.0 - value, 1e-4)); };
        const double share = (miss(target) - miss(before)) / std::min(miss(recall) - miss(before), -1e-9);
        return std::exp(std::log(curve[i - 1].ef) +
                        std::clamp(share, 0.0, 1.0) * (std::log(curve[i].ef) - std::log(curve[i - 1].ef)));
    }
    return curve.back().ef;
}

}  // namespace

int beam_for(const GraphView& graph, double target, int64_t k) {
    double beam = 100.0;
    // The curve comes from a few hundred queries: aim a little higher than asked.
    target = 1.0 - (1.0 - target) * kMissAllowed;
    if (!graph.curve().empty()) {
        if (k <= 10 || k >= 100) {
            beam = beam_on_curve(graph, target, k);
            if (k > 100) beam *= static_cast<double>(k) / 100.0;
        } else {
            const double ten = std::log(beam_on_curve(graph, target, 10));
            const double hundred = std::log(beam_on_curve(graph, target, 100));
            beam = std::exp(ten + (hundred - ten) * (std::log10(static_cast<double>(k)) - 1.0));
        }
    }
    return static_cast<int>(std::clamp(std::ceil(beam), 1.0, 1e7));
}

void node_bits(const GraphView& graph, const AcceptBits& accept, uint8_t* bits) {
    each_accepted(graph.rows(), accept, [&](int64_t position) {
        const int32_t node = graph.node_of(position);
        if (node >= 0) bits[node >> 3] = static_cast<uint8_t>(bits[node >> 3] | 1U << (node & 7));
    });
}

Searcher::Searcher(const GraphView& graph, const Vectors& vectors)
    : graph_(&graph), vectors_(&vectors), exact_(vectors, graph.metric()), filtered_(graph) {}

template <class Scorer>
int32_t Searcher::enter(const Scorer& scorer) {
    int32_t entry = 0;
    for (int level = graph_->levels() - 1; level > 0; --level) {
        entry = descend(graph_->level(level), scorer, entry, scratch_, counters);
    }
    return entry;
}

template <class Scorer>
void Searcher::find_candidates(const Scorer& scorer, int64_t wanted, int ef, const AcceptBits& accept, Way way) {
    if (accept.data == nullptr) {
        const int32_t entry = enter(scorer);
        return walk(graph_->level(0), scorer, &entry, 1, ef, scratch_, counters);
    }
    if (way == Way::automatic) way = filtered_.choose(ef, accept);
    scanned_ = filtered_.find(
        scorer, [&] { return code_query_.units(exact_.padded_query()); }, [&] { return enter(scorer); }, wanted, ef,
        accept, way, scratch_, counters);
}

void Searcher::fetch_row(int32_t node) const {
    const auto stands_for = graph_->positions_of(node);
    if (stands_for.empty() || stands_for[0] < 0 || stands_for[0] >= graph_->rows()) return;
    const char* row = static_cast<const char*>(vectors_->row(stands_for[0]));
    for (size_t at = 0; at < vectors_->row_bytes(); at += 64) __builtin_prefetch(row + at);
}

// Leaves in nodes_ the candidates, those worth an exact distance by 8-bit codes first; returns how many these are.
size_t Searcher::refine(int64_t k) {
    const Pool& pool = scratch_.pool;
    const auto size = static_cast<size_t>(pool.size());
    nodes_.resize(size);
    for (size_t i = 0; i < size; ++i) nodes_[i] = pool_node(pool.data()[i]);
    // More for a wide beam: who asks for it wants the last neighbours too.
    const auto wanted = static_cast<size_t>(k + std::max({int64_t{4}, k / 5, static_cast<int64_t>(size / 12)}));
    if (size <= wanted) return size;
    if (graph_->code_kind() == CodeKind::four) {
        keys_.resize(size);
        const Simd& loops = simd();
        // The nearest by 4-bit codes will be measured whatever their 8-bit codes say.
        for (size_t i = 0; i < kRowsAhead; ++i) fetch_row(nodes_[i]);
        loops.eight_l2(graph_->codes(), code_query_.eight(), nodes_.data(), static_cast<int>(size), 0, keys_.data());
        if (graph_->metric() == Metric::dot) {
            const float unit = unit_key(graph_->codebook().step, true);
            scale_by_norms(graph_->norms(), 1.0F, 0, unit, nodes_.data(), static_cast<int>(size), keys_.data());
        }
        order_.resize(size);
        for (size_t i = 0; i < size; ++i) order_[i] = pool_entry(keys_[i], nodes_[i]);
        std::nth_element(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(wanted), order_.end());
        for (size_t i = 0; i < size; ++i) nodes_[i] = pool_node(order_[i]);
        if (scanned_ && graph_->metric() != Metric::dot) {
            const float step = graph_->codebook().step;
            const float unit = step * step * (graph_->metric() == Metric::cosine ? 0.5F : 1.0F);
            for (const uint64_t entry : order_) estimates_.push_back(unit * static_cast<float>(pool_key(entry)));
        }
    }
    return wanted;
}

// Appends to hits_ the accepted positions of the candidates from `first` to `last`, measured exactly, and to errors_ by
// how much their codes were wrong, as far as there are estimates.
void Searcher::measure(size_t first, size_t last, int64_t k, const AcceptBits& accept) {
    // The rows lie anywhere: while one is measured, the next ones are on their way.
    for (size_t i = first; i < first + kRowsAhead && i < last; ++i) fetch_row(nodes_[i]);
    for (size_t i = first; i < last; ++i) {
        const int32_t node = nodes_[i];
        if (i + kRowsAhead < last) fetch_row(nodes_[i + kRowsAhead]);
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
    const size_t likely = refine(k);
    hits_.clear();
    errors_.clear();
    size_t count = 0;
    // Far from everything accepted, codes clip and err by more than rows differ: then all candidates are measured, and
    // if they still leave a doubt, only exact distances will do.
    uncertain_ = false;
    for (size_t first = 0, last = likely; first < last; first = last, last = nodes_.size()) {
        measure(first, last, k, accept);
        count = std::min(static_cast<size_t>(k), hits_.size());
        std::partial_sort(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(count), hits_.end());
        uncertain_ = count > 0 && doubtful(from_sortable(hits_[count - 1].key));
        if (!uncertain_) break;
    }
    for (size_t i = 0; i < count; ++i) {
        positions[i] = hits_[i].position;
        distances[i] = from_sortable(hits_[i].key);
    }
    return static_cast<int64_t>(count);
}

int64_t Searcher::search(const float* query, int64_t k, int ef, const AcceptBits& accept, int64_t* positions,
                         float* distances, Way way) {
    if (!exact_.set_query(query)) return -1;
    const int64_t accepted = accept.data == nullptr ? graph_->rows() : accept.count;
    const int64_t wanted = std::min(k, accepted);
    if (wanted <= 0) return 0;
    if (wanted * 4 >= graph_->rows() || accepted <= 2 * wanted) {
        counters.way = static_cast<int64_t>(Way::exact);
        counters.reranked += accepted;
        return flat_search(*vectors_, exact_, k, accept, positions, distances);
    }
    scanned_ = false;
    estimates_.clear();
    const int beam = static_cast<int>(std::min<int64_t>(std::max<int64_t>(ef, wanted), graph_->nodes()));
    if (graph_->code_kind() == CodeKind::none) {
        find_candidates(FloatScorer{graph_, &exact_}, wanted, beam, accept, way);
    } else {
        code_query_.prepare(graph_->codebook(), exact_.padded_query(), exact_.query_norm());
        const Simd& loops = simd();
        const bool four = graph_->code_kind() == CodeKind::four;
        const CodeScorer scorer = four ? CodeScorer{loops.four_l2, &graph_->codes(), code_query_.four()}
                                       : CodeScorer{loops.eight_l2, &graph_->codes(), code_query_.eight()};
        if (graph_->metric() == Metric::dot) {
            const float unit = unit_key(graph_->codebook().step, !four);
            const ProductScorer products{scorer, graph_->norms(), four ? code_query_.four_offset() : 0, unit};
            find_candidates(products, wanted, beam, accept, way);
        } else {
            find_candidates(scorer, wanted, beam, accept, way);
        }
    }
    const int64_t found = finish(wanted, accept, positions, distances);
    // Too few nodes reached, or a damaged file: look at every row rather than answer short.
    if (found == wanted && !uncertain_) return found;
    counters.way = static_cast<int64_t>(Way::exact) + kGivenUp;
    counters.reranked += accepted;
    return flat_search(*vectors_, exact_, k, accept, positions, distances);
}

}  // namespace nearrow
