#include "searcher.h"

#include <algorithm>
#include <cmath>

#include "filtered_walk.h"
#include "flat_scan.h"

namespace nearrow {
namespace {

constexpr double kMissAllowed = 0.8;  // of the misses that a target recall would allow
constexpr size_t kRowsAhead = 4;
constexpr int64_t kScanRows = 6000;    // accepted rows that are always scanned
constexpr int64_t kScanBeams = 700;    // rows scanned in the time that one more in its beam costs a walk
constexpr double kWalkThrough = 0.25;  // share of accepted rows from which everything is walked

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
    : graph_(&graph), vectors_(&vectors), exact_(vectors, graph.metric()) {}

bool Searcher::accepts(int32_t node, const AcceptBits& accept) const {
    if (accept.nodes != nullptr) return ((accept.nodes[node >> 3] >> (node & 7)) & 1) != 0;
    for (const int32_t position : graph_->positions_of(node)) {
        if (static_cast<uint32_t>(position) < static_cast<uint64_t>(graph_->rows()) && accept.test(position))
            return true;
    }
    return false;
}

template <class Scorer>
int32_t Searcher::enter(const Scorer& scorer) {
    int32_t entry = 0;
    for (int level = graph_->levels() - 1; level > 0; --level) {
        entry = descend(graph_->level(level), scorer, entry, scratch_, counters);
    }
    return entry;
}

// Scores every accepted node; scratch_.pool gets the ef nearest.
template <class Scorer>
void Searcher::scan_candidates(const Scorer& scorer, int ef, const AcceptBits& accept) {
    Pool& pool = scratch_.pool;
    scanned_ = true;
    pool.reset(ef);
    const bool duplicates = graph_->has_duplicates();
    scratch_.visited.resize(graph_->nodes());
    uint32_t* visited = scratch_.visited.words();
    std::vector<int32_t>& touched = scratch_.touched;
    size_t marked = 0;
    nodes_.clear();
    const auto flush = [&] {
        keys_.resize(nodes_.size());
        scorer(nodes_.data(), static_cast<int>(nodes_.size()), 0, keys_.data());
        counters.distances += static_cast<int64_t>(nodes_.size());
        simd().absorb(pool.data(), pool.size_of(), ef, nodes_.data(), keys_.data(), static_cast<int>(nodes_.size()),
                      graph_->level(0).lists, 0);
        nodes_.clear();
    };
    if (accept.nodes != nullptr) {
        each_accepted(graph_->nodes(), {accept.nodes, accept.count, nullptr}, [&](int64_t node) {
            nodes_.push_back(static_cast<int32_t>(node));
            if (nodes_.size() == 512) flush();
        });
        return flush();
    }
    each_accepted(graph_->rows(), accept, [&](int64_t position) {
        const int32_t node = graph_->node_of(position);
        if (node < 0) return;
        if (duplicates) {
            if ((visited[node >> 5] >> (node & 31) & 1) != 0) return;
            visited[node >> 5] |= 1U << (node & 31);
            if (touched.size() <= marked) touched.resize(2 * marked + 64);
            touched[marked++] = node;
        }
        nodes_.push_back(node);
        if (nodes_.size() == 512) flush();
    });
    flush();
    scratch_.visited.clear(touched, marked);
}

template <class Scorer>
void Searcher::find_candidates(const Scorer& scorer, int64_t wanted, int ef, const AcceptBits& accept, Way way) {
    const LevelView& base = graph_->level(0);
    if (accept.data == nullptr) {
        const int32_t entry = enter(scorer);
        return walk(base, scorer, &entry, 1, ef, scratch_, counters);
    }
    const double share = static_cast<double>(accept.count) / static_cast<double>(graph_->rows());
    // A pool that the re-ranking can choose from: codes alone order neighbours only roughly.
    const int scan_pool = static_cast<int>(std::max<int64_t>(2 * wanted + 32, 64));
    if (way == Way::automatic) {
        const bool few = accept.count <= std::max<int64_t>(kScanRows, kScanBeams * ef);
        way = few ? Way::scan : share >= kWalkThrough ? Way::through : Way::two_hops;
    }
    counters.way = static_cast<int64_t>(way);
    if (way == Way::scan) return scan_candidates(scorer, scan_pool, accept);
    const auto passes = [&](int32_t node) { return accepts(node, accept); };
    const int32_t entry = enter(scorer);
    bool finished;
    if (way == Way::through) {
        const int frontier = static_cast<int>(std::min(4.0 * ef / share + 64.0, 1.0e6));
        finished =
            walk_through(base, scorer, passes, entry, 3 * ef / 2 + 4, frontier, accept.count, scratch_, counters);
    } else {
        seeds_.assign(1, entry);
        const auto seeds = static_cast<int64_t>(std::ceil(0.1 * std::sqrt(static_cast<double>(graph_->rows()))));
        const int64_t stride = std::max<int64_t>(1, graph_->rows() / seeds);
        for (int64_t at = 0; at < graph_->rows(); at += stride) {
            const int64_t position = next_accepted(accept, at, std::min(graph_->rows(), at + stride));
            const int32_t node = position < 0 ? -1 : graph_->node_of(position);
            if (node >= 0) seeds_.push_back(node);
        }
        finished = walk_two_hops(base, scorer, passes, seeds_.data(), static_cast<int>(seeds_.size()),
                                 std::max(ef + 8, 6 * ef - 20), accept.count, scratch_, counters);
    }
    if (finished) return;
    counters.way += kGivenUp;
    scan_candidates(scorer, scan_pool, accept);
}

void Searcher::fetch_row(int32_t node) const {
    const auto stands_for = graph_->positions_of(node);
    if (stands_for.empty() || stands_for[0] < 0 || stands_for[0] >= graph_->rows()) return;
    const char* row = static_cast<const char*>(vectors_->row(stands_for[0]));
    for (size_t at = 0; at < vectors_->row_bytes(); at += 64) __builtin_prefetch(row + at);
}

// Leaves in nodes_ the candidates worth an exact distance, nearest by 8-bit codes first.
void Searcher::refine(int64_t k) {
    const Pool& pool = scratch_.pool;
    const auto size = static_cast<size_t>(pool.size());
    nodes_.resize(size);
    for (size_t i = 0; i < size; ++i) nodes_[i] = pool_node(pool.data()[i]);
    // More for a wide beam: who asks for it wants the last neighbours too.
    const auto wanted = static_cast<size_t>(k + std::max({int64_t{4}, k / 5, static_cast<int64_t>(size / 12)}));
    if (graph_->code_kind() == CodeKind::four && size > wanted) {
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
        for (size_t i = 0; i < wanted; ++i) nodes_[i] = pool_node(order_[i]);
        if (scanned_ && graph_->metric() != Metric::dot) {
            const float step = graph_->codebook().step;
            const float unit = step * step * (graph_->metric() == Metric::cosine ? 0.5F : 1.0F);
            for (size_t i = 0; i < wanted; ++i) estimates_.push_back(unit * static_cast<float>(pool_key(order_[i])));
            horizon_ = unit * static_cast<float>(pool_key(*std::max_element(order_.begin(), order_.end())));
        }
    }
    if (size > wanted) nodes_.resize(wanted);
}

int64_t Searcher::finish(int64_t k, const AcceptBits& accept, int64_t* positions, float* distances) {
    hits_.clear();
    float error = 0.0F;
    // The rows lie anywhere: while one is measured, the next ones are on their way.
    for (size_t i = 0; i < kRowsAhead && i < nodes_.size(); ++i) fetch_row(nodes_[i]);
    for (size_t i = 0; i < nodes_.size(); ++i) {
        const int32_t node = nodes_[i];
        if (i + kRowsAhead < nodes_.size()) fetch_row(nodes_[i + kRowsAhead]);
        const auto stands_for = graph_->positions_of(node);
        if (stands_for.empty() || stands_for[0] < 0 || stands_for[0] >= graph_->rows()) continue;
        const float distance = exact_.distance(stands_for[0]);
        const uint32_t key = sortable(distance);
        if (i < estimates_.size()) error = std::max(error, std::abs(estimates_[i] - distance));
        ++counters.reranked;
        int64_t taken = 0;
        for (const int32_t position : stands_for) {
            if (taken == k) break;
            if (position < 0 || position >= graph_->rows() || !accept.test(position)) continue;
            hits_.push_back({key, position});
            ++taken;
        }
    }
    const auto count = std::min(static_cast<size_t>(k), hits_.size());
    std::partial_sort(hits_.begin(), hits_.begin() + static_cast<std::ptrdiff_t>(count), hits_.end());
    for (size_t i = 0; i < count; ++i) {
        positions[i] = hits_[i].position;
        distances[i] = from_sortable(hits_[i].key);
    }
    // Far from everything accepted, codes clip and err by more than rows differ: then only exact distances will do.
    uncertain_ = !estimates_.empty() && count > 0 && horizon_ < from_sortable(hits_[count - 1].key) + error;
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
    refine(wanted);
    const int64_t found = finish(wanted, accept, positions, distances);
    // Too few nodes reached, or a damaged file: look at every row rather than answer short.
    if (found == wanted && !uncertain_) return found;
    counters.way = static_cast<int64_t>(Way::exact) + kGivenUp;
    counters.reranked += accepted;
    return flat_search(*vectors_, exact_, k, accept, positions, distances);
}

}  // namespace nearrow
