#include "double_walk.h"

#include <algorithm>

namespace nearrow {
namespace {

// The next candidate of a pool whose neighbours nobody met yet, −1 when there is none; `at` is moved behind it.
int32_t next_of(Pool& pool, int& at, const Visited& opened) {
    while (at < pool.size()) {
        uint64_t& entry = pool.data()[at++];
        if ((entry & 1) != 0) continue;
        entry |= 1;
        const int32_t node = pool_node(entry);
        if (!opened.contains(node)) return node;
    }
    return -1;
}

}  // namespace

void walk_both(const LevelView& level, const RowScorer& scorer, const int32_t* entries, int n_entries,
               const DoubleBeam& beam, DoubleScratch& scratch, WalkCounters& counters) {
    Pool* const pools[] = {&scratch.by_product, &scratch.by_direction};
    const int beams[] = {beam.by_product, beam.by_direction};
    int cursors[] = {0, 0};
    for (int p = 0; p < 2; ++p) pools[p]->reset(beams[p]);
    Visited& visited = scratch.visited;
    Visited& opened = scratch.opened;
    visited.begin(level.nodes);
    opened.begin(level.nodes);
    const auto room = [&](int more) {
        visited.reserve(static_cast<size_t>(more));
        if (scratch.directions.size() < static_cast<size_t>(more)) scratch.directions.resize(static_cast<size_t>(more));
        if (scratch.products.size() < static_cast<size_t>(more)) scratch.products.resize(static_cast<size_t>(more));
    };
    const auto score_from = [&](size_t first, Fetched fetched) {
        const auto n = static_cast<int>(visited.size() - first);
        const int32_t* fresh = visited.since(first);
        scorer.directions(fresh, n, fetched, scratch.directions.data());
        std::copy_n(scratch.directions.data(), n, scratch.products.data());
        scorer.products(fresh, n, scratch.products.data());
        counters.distances += n;
        const int32_t* const keys[] = {scratch.products.data(), scratch.directions.data()};
        for (int p = 0; p < 2; ++p) {
            const int nearest = simd().absorb(pools[p]->buffers(), pools[p]->size_of(), beams[p], fresh, keys[p], n,
                                              level.lists, level.width);
            cursors[p] = std::min(cursors[p], nearest);
        }
    };
    room(n_entries);
    visited.add_new(entries, n_entries, level.nodes);
    score_from(0, Fetched::none);

    for (;;) {
        const size_t first = visited.size();
        const size_t before = opened.size();
        room(2 * level.width);
        opened.reserve(2);
        for (int p = 0; p < 2; ++p) {
            const int32_t node = next_of(*pools[p], cursors[p], opened);
            if (node < 0) continue;
            opened.add(node);
            meet_neighbours(level, node, scorer, first, visited);
        }
        if (opened.size() == before) break;
        counters.hops += static_cast<int64_t>(opened.size() - before);
        score_from(first, Fetched::first);
    }
    visited.clear();
    opened.clear();
}

}  // namespace nearrow
