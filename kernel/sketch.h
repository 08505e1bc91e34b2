// Sketch: which of many nodes that pass a filter may be among the nearest? One bit a dimension, scored 32 nodes at a
// time.
//
// A filter that is asked again gets one. Of each 4-bit code it keeps whether it lies above the mean of the nodes that
// pass: centred on them, it tells apart what is alike to the rest of the graph. Four such bits are the index into a
// table of 16 small integers, which fits a register, so that one shuffle looks 16 nodes up (FastScan: André, Kermarrec
// and Le Scouarnec, VLDB 2015). A node costs about a nanosecond, wherever it lies; what a look at all of them leaves is
// measured by better codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph_view.h"

namespace nearrow {

constexpr int kSketchBlock = 32;        // nodes that are scored together
constexpr int kSketchLevels = 31;       // the largest entry of a table: eight of them fit a byte
constexpr int64_t kSketchSample = 512;  // nodes from which the means are taken

// Bytes that begin a line of the cache: a load of 64 that straddles two takes twice the time.
struct alignas(64) CacheLine {
    uint8_t bytes[64];
};
inline size_t lines_for(size_t bytes) { return (bytes + sizeof(CacheLine) - 1) / sizeof(CacheLine); }

// The loops over blocks. `codes`: blocks × pairs × 32 bytes; in a pair of groups the first 16 bytes are those of the
// even group, byte j with the bits of node j (low) and node 16 + j (high). `tables`: 16 bytes a group, none above
// kSketchLevels.
struct SketchLoops {
    // scores[32·b + i] = Σ of the table entries that node i of block b looks up, lowest[b] the least of a block.
    // REQUIRES: scores stay below 2¹⁶.
    void (*score)(const uint8_t* codes, const uint8_t* tables, int pairs, int64_t blocks, uint16_t* scores,
                  uint16_t* lowest);
    // Writes to `out` the positions of all scores from `first` to `last`, ascending; returns how many. Looks only into
    // blocks whose lowest score is not above `last`; `lowest` may be read up to the next multiple of 32 blocks.
    int64_t (*select)(const uint16_t* scores, const uint16_t* lowest, int64_t blocks, uint16_t first, uint16_t last,
                      int32_t* out);
};

// The set that belongs to simd().
const SketchLoops& sketch_loops();
extern const SketchLoops sketch_scalar;
#if defined(__x86_64__)
extern const SketchLoops sketch_avx2;
extern const SketchLoops sketch_avx512;
#endif

// What one query needs; reused from query to query.
struct SketchScratch {
    std::vector<float> differences;
    std::vector<CacheLine> tables;
    std::vector<uint16_t> scores;
    std::vector<uint16_t> lowest;  // of each block
    std::vector<uint16_t> some;    // of either, to find a limit
    std::vector<int32_t> places;   // of the scores of a ring, room for all
    int32_t limit = -1;            // the largest score of the rings so far
    int64_t taken = 0;             // how many they had
};

// Immutable; any number of threads may use it. REQUIRES: a graph with codes, of any metric but dot.
class Sketch {
  public:
    // Of the nodes whose bit is set in `bits`.
    Sketch(const GraphView& graph, const uint8_t* bits);

    int64_t size() const { return static_cast<int64_t>(nodes_.size()); }
    size_t nbytes() const {
        return codes_.size() * sizeof(CacheLine) + nodes_.size() * sizeof(int32_t) + thresholds_.size() * 9;
    }

    // Scores all nodes for a query, for rings to be taken. query: in the units of the graph's 8-bit codes, padded to
    // whole blocks of 128 dimensions.
    void score(const float* query, SketchScratch& scratch) const;
    // Replaces `out` by the nearest nodes that no ring had yet, in the order of nodes, so that all rings together have
    // at least min(wanted, size()).
    void ring(int64_t wanted, SketchScratch& scratch, std::vector<int32_t>& out) const;

  private:
    void learn(const GraphView& graph);
    void encode(const GraphView& graph);
    void make_tables(const float* query, SketchScratch& scratch) const;
    int64_t select(uint16_t limit, SketchScratch& scratch) const;
    uint16_t limit_for(int64_t wanted, SketchScratch& scratch) const;

    CodeShape shape_;
    int groups_ = 0;                   // of four dimensions: two bytes of a row of codes
    int levels_ = kSketchLevels;       // fewer where the sum of all groups would not fit
    std::vector<int32_t> nodes_;       // ascending
    std::vector<CacheLine> codes_;     // see SketchLoops
    std::vector<uint8_t> thresholds_;  // by slot: a code from here on counts as above
    std::vector<float> middle_;        // by slot, in units of the query: between what lies below and above
    std::vector<float> spread_;        // by slot: twice the distance between the two
    std::vector<int32_t> dimensions_;  // slot → dimension; padding has spread 0
};

}  // namespace nearrow
