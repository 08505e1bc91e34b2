#include "double_walk.h"

#include <algorithm>

namespace nearrow {
namespace {

// The next candidate of a pool whose neighbours nobody collected yet, −1 when there is none; `at` is moved behind it.
int32_t next_of(Pool& pool, int& at, const uint32_t* opened) {
    while (at < pool.size()) {
        uint64_t& entry = pool.data()[at++];
        if ((entry & 1) != 0) continue;
        entry |= 1;
        const int32_t node = pool_node(entry);
        if (((opened[node >> 5] >> (node & 31)) & 1) == 0) return node;
    }
    return -1;
}

}  // namespace

void walk_both(const LevelView& level, const RowScorer& scorer, const int32_t* entries, int n_entries,
               const DoubleBeam& beam, DoubleScratch& scratch, WalkCounters& counters) {
    const Simd& loops = simd();
    Pool* const pools[] = {&scratch.by_product, &scratch.by_direction};
    const int beams[] = {beam.by_product, beam.by_direction};
    int cursors[] = {0, 0};
    for (int p = 0; p < 2; ++p) pools[p]->reset(beams[p]);
    scratch.visited.resize(level.nodes);
    scratch.opened.resize(level.nodes);
    scratch.expanded.clear();
    uint32_t* visited = scratch.visited.words();
    uint32_t* opened = scratch.opened.words();
    const auto nodes = static_cast<uint32_t>(level.nodes);
    size_t touched = 0;
    const auto room = [&](size_t more) {
        if (scratch.touched.size() < touched + more) scratch.touched.resize(2 * (touched + more));
        if (scratch.directions.size() < more) scratch.directions.resize(more);
        if (scratch.products.size() < more) scratch.products.resize(more);
    };
    const auto list_of = [&](int32_t node) { return level.lists + static_cast<int64_t>(node) * level.width; };
    const auto score_from = [&](size_t first) {
        const auto n = static_cast<int>(touched - first);
        const int32_t* fresh = scratch.touched.data() + first;
        scorer.directions(fresh, n, n, scratch.directions.data());
        std::copy_n(scratch.directions.data(), n, scratch.products.data());
        scorer.products(fresh, n, scratch.products.data());
        counters.distances += n;
        const int32_t* const keys[] = {scratch.products.data(), scratch.directions.data()};
        for (int p = 0; p < 2; ++p) {
            const int nearest = loops.absorb(pools[p]->buffers(), pools[p]->size_of(), beams[p], fresh, keys[p], n,
                                             level.lists, level.width);
            cursors[p] = std::min(cursors[p], nearest);
        }
    };
    room(static_cast<size_t>(std::max(n_entries, 2 * level.width) + 16));
    touched += static_cast<size_t>(loops.collect(visited, entries, n_entries, nodes, scratch.touched.data()));
    score_from(0);

    for (;;) {
        const size_t first = touched;
        room(static_cast<size_t>(2 * level.width + 16));
        const size_t before = scratch.expanded.size();
        for (int p = 0; p < 2; ++p) {
            const int32_t node = next_of(*pools[p], cursors[p], opened);
            if (node < 0) continue;
            opened[node >> 5] |= 1U << (node & 31);
            scratch.expanded.push_back(node);
            int32_t* fresh = scratch.touched.data() + touched;
            const int n = loops.collect(visited, list_of(node), level.width, nodes, fresh);
            scorer.fetch(fresh, n);
            touched += static_cast<size_t>(n);
        }
        if (scratch.expanded.size() == before) break;
        counters.hops += static_cast<int64_t>(scratch.expanded.size() - before);
        score_from(first);
    }
    scratch.visited.clear(scratch.touched, touched);
    scratch.opened.clear(scratch.expanded, scratch.expanded.size());
}

}  // namespace nearrow
