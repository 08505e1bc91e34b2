// Searcher: what are the k nearest rows, by walking the graph on codes and measuring the best ones exactly?
#pragma once

#include <cstdint>
#include <vector>

#include "bitset.h"
#include "codes.h"
#include "exact.h"
#include "graph_view.h"
#include "walk.h"

namespace nearrow {

// The beam that reaches `target` recall for k results, read from the graph's measured curve.
int beam_for(const GraphView& graph, double target, int64_t k);

// How a filtered search finds its candidates. What a search reports in its counters, too: 0 is then the plain walk.
enum class Way : int { automatic = 0, scan = 1, through = 2, two_hops = 3, exact = 4 };
constexpr int64_t kGivenUp = 8;  // added when a walk cost too much and was finished by a scan

// Sets in `bits` (a bit for each node, zeroed before) the nodes that stand for an accepted position.
void node_bits(const GraphView& graph, const AcceptBits& accept, uint8_t* bits);

// One per thread, reused from query to query. REQUIRES: graph and vectors outlive it; vectors.rows() == graph.rows().
class Searcher {
  public:
    Searcher(const GraphView& graph, const Vectors& vectors);

    // Returns how many hits: min(k, accepted), always. Hits are sorted by (exact distance, position).
    // Returns −1 when the query holds NaN or infinity, or is zero under cosine.
    // `way` is for searches with accept bits: automatic chooses by constants, a planner that knows better may say.
    int64_t search(const float* query, int64_t k, int ef, const AcceptBits& accept, int64_t* positions,
                   float* distances, Way way = Way::automatic);

    WalkCounters counters;

  private:
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
    template <class Scorer>
    void scan_candidates(const Scorer& scorer, int ef, const AcceptBits& accept);
    bool accepts(int32_t node, const AcceptBits& accept) const;
    void fetch_row(int32_t node) const;
    void refine(int64_t k);
    int64_t finish(int64_t k, const AcceptBits& accept, int64_t* positions, float* distances);

    const GraphView* graph_;
    const Vectors* vectors_;
    ExactScorer exact_;
    CodeQuery code_query_;
    WalkScratch scratch_;
    std::vector<int32_t> nodes_;
    std::vector<int32_t> keys_;
    std::vector<int32_t> seeds_;
    // Of a scan on codes: what the codes said of the rows measured, and of the nearest that were not looked at.
    bool scanned_ = false;
    bool uncertain_ = false;
    std::vector<float> estimates_;
    float horizon_ = 0.0F;
    std::vector<uint64_t> order_;
    std::vector<Hit> hits_;
};

}  // namespace nearrow
