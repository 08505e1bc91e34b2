// Double walk: which nodes are nearest to a stored row by product, and which by direction? One walk with two pools, for
// graphs under dot: what both would read is read once, and each finds what the other came across.
#pragma once

#include <cstdint>
#include <vector>

#include "linker.h"
#include "walk.h"

namespace nearrow {

struct DoubleScratch {
    Visited visited;
    Visited opened;  // nodes whose neighbours were met, for either pool
    std::vector<int32_t> directions;
    std::vector<int32_t> products;
    Pool by_product;
    Pool by_direction;
};

struct DoubleBeam {
    int by_product;
    int by_direction;
};

// Fills each pool with as many nearest nodes, found from the entries. Every step expands the best candidate of each
// pool. Deterministic: ties go by node. REQUIRES: scorer.set(node) was called; no entry comes twice.
void walk_both(const LevelView& level, const RowScorer& scorer, const int32_t* entries, int n_entries,
               const DoubleBeam& beam, DoubleScratch& scratch, WalkCounters& counters);

}  // namespace nearrow
