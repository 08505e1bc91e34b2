// Searcher: what are the k nearest rows, by walking the graph on codes and measuring the best ones exactly?
#pragma once

#include <cstdint>
#include <vector>

#include "bitset.h"
#include "codes.h"
#include "exact.h"
#include "filtered_search.h"
#include "graph_view.h"
#include "walk.h"

namespace nearrow {

// The beam that reaches `target` recall for k results, read from the graph's measured curve.
int beam_for(const GraphView& graph, double target, int64_t k);

// Sets in `bits` (a bit for each node, zeroed before) the nodes that stand for an accepted position.
void node_bits(const GraphView& graph, const AcceptBits& accept, uint8_t* bits);

// One per thread, reused from query to query. REQUIRES: graph and vectors outlive it; vectors.rows() == graph.rows().
class Searcher {
  public:
    Searcher(const GraphView& graph, const Vectors& vectors);

    // Returns how many hits: min(k, accepted), always. Hits are sorted by (exact distance, position).
    // `ef` is how many of the nearest nodes are expanded; it may be less than k.
    // Returns −1 when the query holds NaN or infinity, or is zero under cosine.
    // `way` is for searches with accept bits: automatic chooses by constants, a planner that knows better may say.
    int64_t search(const float* query, int64_t k, int ef, const AcceptBits& accept, int64_t* positions,
                   float* distances, Way way = Way::automatic);

    WalkCounters counters;

  private:
    class FetchAhead;
    struct Hit {
        uint32_t key;
        int64_t position;
        bool operator<(const Hit& other) const {
            return key != other.key ? key < other.key : position < other.position;
        }
    };
    template <class Scorer>
    int32_t enter(const Scorer& scorer);
    template <class Scorer>
    void find_candidates(const Scorer& scorer, int64_t wanted, int ef, const AcceptBits& accept, Way way);
    void fetch_row(int32_t node) const;
    size_t refine(int64_t k);
    size_t worth_measuring(size_t k, size_t likely) const;
    void measure(size_t first, size_t last, size_t known, int64_t k, const AcceptBits& accept);
    bool doubtful(float farthest) const;
    int64_t finish(int64_t k, const AcceptBits& accept, int64_t* positions, float* distances);

    const GraphView* graph_;
    const Vectors* vectors_;
    ExactScorer exact_;
    CodeQuery code_query_;
    WalkScratch scratch_;
    FilteredSearch filtered_;
    std::vector<int32_t> nodes_;
    std::vector<int32_t> keys_;
    // Of a scan on codes: what the 8-bit codes say of the candidates.
    bool scanned_ = false;
    bool uncertain_ = false;
    std::vector<float> estimates_;
    std::vector<float> errors_;
    std::vector<uint64_t> order_;
    std::vector<Hit> hits_;
};

}  // namespace nearrow
