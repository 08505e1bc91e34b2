// Filtered search: which nodes that pass a filter are candidates, and by which of five ways are they found?
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bitset.h"
#include "filtered_walk.h"
#include "flat_scan.h"
#include "graph_view.h"
#include "sketch.h"
#include "walk.h"

namespace nearrow {

// What a search reports in its counters, too: 0 is then the plain walk.
enum class Way : int { automatic = 0, scan = 1, through = 2, two_hops = 3, exact = 4, sketch = 5 };
constexpr int64_t kGivenUp = 8;  // added when a walk cost too much and was finished by a scan

// Where one way becomes cheaper than the next; counted on real data for each kind of loops (docs/decisions/074).
struct Crossovers {
    int64_t scan_rows;     // accepted rows that are always scanned
    int64_t scan_beams;    // rows scanned in the time that one more in its beam costs a walk
    int64_t sketch_beams;  // nodes of a sketch scanned in the time of that, where all rows are accepted; 0: none pays
    double walk_through;   // share of accepted rows from which everything is walked
};
inline const Crossovers& crossovers() {
    static constexpr Crossovers kVectors{6000, 700, 1200, 0.25};
    static constexpr Crossovers kNoSketches{6000, 700, 0, 0.25};
    static constexpr Crossovers kPlain{2000, 180, 0, 0.25};
    if (&simd() == &simd_scalar) return kPlain;
    return &sketch_loops() == &sketch_scalar ? kNoSketches : kVectors;
}

constexpr int kSketchMeasured = 3;  // of the first ring that a sketch leaves to be scored, for each of the beam
constexpr int kSketchGrowth = 3;    // how many times as large as those before it together each ring makes them

// Whether a sketch of so many nodes can be made and would be used at the usual beams.
inline bool can_sketch(const GraphView& graph, int64_t count) {
    constexpr double kUsualBeam = 50.0;
    const auto accepted = static_cast<double>(count);
    return graph.code_kind() != CodeKind::none && graph.metric() != Metric::dot &&
           accepted * accepted <= kUsualBeam * static_cast<double>(crossovers().sketch_beams * graph.rows());
}

// One per searcher, reused from query to query. REQUIRES: the graph outlives it.
class FilteredSearch {
  public:
    explicit FilteredSearch(const GraphView& graph) : graph_(&graph) {}

    // The way that costs least, by counts alone.
    Way choose(int ef, const AcceptBits& accept) const {
        const Crossovers& limits = crossovers();
        // The fewer pass, the farther a walk must go.
        const double sketched = static_cast<double>(limits.sketch_beams * ef) / share(accept);
        if (accept.sketch != nullptr && static_cast<double>(accept.count) <= sketched) return Way::sketch;
        if (accept.count <= std::max<int64_t>(limits.scan_rows, limits.scan_beams * ef)) return Way::scan;
        return share(accept) >= limits.walk_through ? Way::through : Way::two_hops;
    }

    // Leaves the nearest accepted nodes in scratch.pool; true if all accepted nodes were looked at to find them.
    // units(): the query in the units of the 8-bit codes. enter(): the node at which a walk begins.
    // REQUIRES: way is not automatic; a sketch if that is the way.
    template <class Scorer, class Units, class Enter>
    bool find(const Scorer& scorer, const Units& units, const Enter& enter, int64_t wanted, int ef,
              const AcceptBits& accept, Way way, WalkScratch& scratch, WalkCounters& counters) {
        // A pool that the re-ranking can choose from: codes alone order neighbours only roughly.
        const int scan_pool = static_cast<int>(std::max<int64_t>(2 * wanted + 32, 64));
        counters.way = static_cast<int64_t>(way);
        if (way == Way::sketch) {
            scratch.pool.reset(scan_pool);
            accept.sketch->score(units(), sketch_scratch_);
            sketched(scorer, *accept.sketch, wanted, ef, scratch, counters);
            return true;
        }
        if (way == Way::scan) {
            scan(scorer, scan_pool, accept, scratch, counters);
            return true;
        }
        if (walk(scorer, enter(), ef, accept, way, scratch, counters)) return false;
        counters.way += kGivenUp;
        scan(scorer, scan_pool, accept, scratch, counters);
        return true;
    }

  private:
    static constexpr size_t kScored = 512;

    double share(const AcceptBits& accept) const {
        return static_cast<double>(accept.count) / static_cast<double>(graph_->rows());
    }

    bool accepts(int32_t node, const AcceptBits& accept) const {
        if (accept.nodes != nullptr) return ((accept.nodes[node >> 3] >> (node & 7)) & 1) != 0;
        for (const int32_t position : graph_->positions_of(node)) {
            if (static_cast<uint32_t>(position) < static_cast<uint64_t>(graph_->rows()) && accept.test(position))
                return true;
        }
        return false;
    }

    // Scores nodes_ into the pool, and empties it; returns the lowest place in the pool that changed.
    template <class Scorer>
    int score_all(const Scorer& scorer, WalkScratch& scratch, WalkCounters& counters) {
        keys_.resize(nodes_.size());
        scorer(nodes_.data(), static_cast<int>(nodes_.size()), Fetched::none, keys_.data());
        counters.distances += static_cast<int64_t>(nodes_.size());
        Pool& pool = scratch.pool;
        const int lowest = simd().absorb(pool.buffers(), pool.size_of(), pool.capacity(), nodes_.data(), keys_.data(),
                                         static_cast<int>(nodes_.size()), graph_->level(0).lists, 0);
        nodes_.clear();
        return lowest;
    }

    // Scores rings of the sketch, each twice as large as all before it, until one has none of the nearest: how far a
    // sketch can be trusted depends on how far the query is from what passes.
    template <class Scorer>
    void sketched(const Scorer& scorer, const Sketch& sketch, int64_t wanted, int ef, WalkScratch& scratch,
                  WalkCounters& counters) {
        int64_t measured =
            std::max<int64_t>({kSketchMeasured * int64_t{ef}, kSketchMeasured * wanted, scratch.pool.capacity()});
        int64_t lowest = 0;
        for (bool first = true; first || lowest < wanted; first = false, measured *= kSketchGrowth) {
            sketch.ring(measured, sketch_scratch_, nodes_);
            lowest = nodes_.empty() ? 0 : score_all(scorer, scratch, counters);
            if (measured >= sketch.size()) break;
        }
    }

    // Scores every accepted node.
    template <class Scorer>
    void scan(const Scorer& scorer, int pool_size, const AcceptBits& accept, WalkScratch& scratch,
              WalkCounters& counters) {
        scratch.pool.reset(pool_size);
        nodes_.clear();
        const auto take = [&](int32_t node) {
            nodes_.push_back(node);
            if (nodes_.size() == kScored) score_all(scorer, scratch, counters);
        };
        if (accept.nodes != nullptr) {
            each_accepted(graph_->nodes(), {accept.nodes, accept.count},
                          [&](int64_t node) { take(static_cast<int32_t>(node)); });
            score_all(scorer, scratch, counters);
            return;
        }
        const bool duplicates = graph_->has_duplicates();
        Visited& visited = scratch.visited;
        visited.begin(graph_->nodes());
        each_accepted(graph_->rows(), accept, [&](int64_t position) {
            const int32_t node = graph_->node_of(position);
            if (node < 0) return;
            if (duplicates) {
                if (visited.contains(node)) return;
                visited.reserve(1);
                visited.add(node);
            }
            take(node);
        });
        score_all(scorer, scratch, counters);
        visited.clear();
    }

    // False when as many distances were spent as rows are accepted: then a scan is cheaper.
    template <class Scorer>
    bool walk(const Scorer& scorer, int32_t entry, int ef, const AcceptBits& accept, Way way, WalkScratch& scratch,
              WalkCounters& counters) {
        const LevelView& base = graph_->level(0);
        const auto passes = [&](int32_t node) { return accepts(node, accept); };
        if (way == Way::through) {
            const int frontier = static_cast<int>(std::min(4.0 * ef / share(accept) + 64.0, 1.0e6));
            return walk_through(base, scorer, passes, entry, 3 * ef / 2 + 4, frontier, accept.count, scratch, counters);
        }
        seeds_.assign(1, entry);
        const auto seeds = static_cast<int64_t>(std::ceil(0.1 * std::sqrt(static_cast<double>(graph_->rows()))));
        const int64_t stride = std::max<int64_t>(1, graph_->rows() / seeds);
        for (int64_t at = 0; at < graph_->rows(); at += stride) {
            const int64_t position = next_accepted(accept, at, std::min(graph_->rows(), at + stride));
            const int32_t node = position < 0 ? -1 : graph_->node_of(position);
            if (node >= 0) seeds_.push_back(node);
        }
        return walk_two_hops(base, scorer, passes, seeds_.data(), static_cast<int>(seeds_.size()),
                             std::max(ef + 8, 6 * ef - 20), accept.count, scratch, counters);
    }

    const GraphView* graph_;
    SketchScratch sketch_scratch_;
    std::vector<int32_t> nodes_;
    std::vector<int32_t> keys_;
    std::vector<int32_t> seeds_;
};

}  // namespace nearrow
