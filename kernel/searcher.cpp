#include "searcher.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flat_scan.h"

namespace nearrow {
namespace {

constexpr size_t kFetchedBytes = 4 << 20;  // of vectors, before a walk ends: a part of the last cache
constexpr int64_t kSpare = 3;              // candidates beyond k at least: 4-bit codes put a neighbour behind them
constexpr double kMissAllowed = 0.65;      // of the misses that a target recall would allow

// Exact distances as walk keys, for graphs without codes.
struct FloatScorer {
    const GraphView* graph;
    const ExactScorer* exact;
    void fetch(const int32_t*, int, int) const {}
    void operator()(const int32_t* nodes, int n, Fetched, int32_t* keys) const {
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
    // The curve comes from a few hundred queries: aim a little higher than asked. Copies of a row share a node and are
    // found or missed together: the more of an answer one node fills, the fewer nodes may be missed.
    const double copies = graph.nodes() > 0 ? static_cast<double>(graph.rows()) / graph.nodes() : 1.0;
    const double answer = static_cast<double>(std::max<int64_t>(k, 1));
    target = 1.0 - (1.0 - target) * kMissAllowed / std::clamp(copies, 1.0, std::min(answer, 10.0));
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
    // How often a whole answer is lost, so few queries cannot show: a floor where nodes fill much of it.
    if (copies >= 2.0) beam = std::max(beam, answer + 2.0 * std::min(copies, answer));
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
    const auto level_at = [this](int level) { return graph_->level(level); };
    return descend(level_at, graph_->levels() - 1, 1, scorer, 0, scratch_, counters);
}

// When most of the beam is expanded, its front is what will be measured, but for a row or two: these vectors are
// fetched while the walk goes on, unless there are so many that they would push each other out.
class Searcher::FetchAhead {
  public:
    FetchAhead(const Searcher& searcher, int64_t wanted, int ef) : searcher_(searcher), from_(ef - ef / 4) {
        const auto room = static_cast<int64_t>(kFetchedBytes / searcher.vectors_->row_bytes());
        rows_ = static_cast<int>(std::min(wanted + wanted / 5, room));
    }
    void operator()(const Pool& pool, int expanded) const {
        if (expanded < from_) return;
        for (int i = 0; i < std::min(pool.size(), rows_); ++i) searcher_.fetch_row(pool_node(pool.data()[i]));
        from_ = std::numeric_limits<int>::max();
    }

  private:
    const Searcher& searcher_;
    int rows_ = 0;
    mutable int from_;
};

template <class Scorer>
void Searcher::find_candidates(const Scorer& scorer, int64_t wanted, int ef, const AcceptBits& accept, Way way) {
    if (accept.data == nullptr) {
        // Fewer nodes may be expanded than are wanted: what they are linked to is there for the choosing.
        const auto most = static_cast<int64_t>(graph_->nodes());
        const auto keep =
            static_cast<int>(std::min(most, std::max<int64_t>(ef, wanted + std::max(kSpare, wanted / 10))));
        const int32_t entry = enter(scorer);
        return walk(graph_->level(0), scorer, &entry, 1, {std::min(ef, keep), keep}, scratch_, counters,
                    FetchAhead{*this, wanted, ef});
    }
    ef = static_cast<int>(std::max<int64_t>(ef, wanted));
    if (way == Way::automatic) way = filtered_.choose(ef, accept);
    scanned_ = filtered_.find(
        scorer, [&] { return code_query_.units(); }, [&] { return enter(scorer); }, wanted, ef, accept, way, scratch_,
        counters);
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
    const int beam = std::min(ef, graph_->nodes());
    if (graph_->code_kind() == CodeKind::none) {
        find_candidates(FloatScorer{graph_, &exact_}, wanted, beam, accept, way);
    } else {
        code_query_.prepare(graph_->codebook(), exact_.padded_query(), exact_.query_norm());
        const bool four = graph_->code_kind() == CodeKind::four;
        const CodeScan scorer = four ? four_bit_scan(graph_->codes(), code_query_.four())
                                     : eight_bit_scan(graph_->codes(), code_query_.eight());
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
