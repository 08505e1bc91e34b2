// Filtered walk: how is a graph walked when only some nodes may be returned?
//
// Many pass: walk everything, keep what passes. Few pass: score only what passes, and look through failing neighbours
// to theirs (ACORN's two-hop expansion, arXiv 2403.04871). Fewer still: the searcher scans instead.
#pragma once

#include <algorithm>
#include <cstdint>

#include "walk.h"

namespace nearrow {

// Walks everything; scratch.pool gets the ef nearest passing nodes. Stops when nothing nearer than the worst of them is
// left to expand. Returns false when `budget` distances were spent before that.
template <class Scorer, class Accept>
bool walk_through(const LevelView& level, const Scorer& scorer, const Accept& accept, int32_t entry, int ef,
                  int frontier_size, int64_t budget, WalkScratch& scratch, WalkCounters& counters) {
    const Simd& loops = simd();
    Pool& found = scratch.pool;
    Pool& frontier = scratch.frontier;
    found.reset(ef);
    frontier.reset(frontier_size);
    scratch.visited.resize(level.nodes);
    uint32_t* visited = scratch.visited.words();
    const auto nodes = static_cast<uint32_t>(level.nodes);
    const int64_t start = counters.distances;
    size_t touched = 0;
    const auto room = [&](size_t more) {
        if (scratch.touched.size() < touched + more) scratch.touched.resize(2 * (touched + more));
        if (scratch.keys.size() < more) scratch.keys.resize(more);
    };
    const auto score_from = [&](size_t first) {
        const auto n = static_cast<int>(touched - first);
        const int32_t* fresh = scratch.touched.data() + first;
        scorer(fresh, n, n, scratch.keys.data());
        counters.distances += n;
        for (int i = 0; i < n; ++i) {
            const uint64_t candidate = pool_entry(scratch.keys[static_cast<size_t>(i)], fresh[i]);
            if (candidate < found.worst() && accept(fresh[i])) found.insert(candidate);
        }
        return loops.absorb(frontier.buffers(), frontier.size_of(), frontier_size, fresh, scratch.keys.data(), n,
                            level.lists, level.width);
    };
    room(static_cast<size_t>(level.width) + 16);
    touched += static_cast<size_t>(loops.collect(visited, &entry, 1, nodes, scratch.touched.data()));
    score_from(0);
    int cursor = 0;
    bool finished = true;
    while (cursor < frontier.size()) {
        if (counters.distances - start > budget) {
            finished = false;
            break;
        }
        const size_t first = touched;
        room(static_cast<size_t>(kPerStep * level.width + 16));
        const uint64_t worst = found.worst();
        const auto list_of = [&](uint64_t one) {
            return level.lists + static_cast<int64_t>(pool_node(one)) * level.width;
        };
        int expanded = 0;
        for (int at = cursor; at < frontier.size() && expanded < kPerStep; ++at) {
            uint64_t& next = frontier.data()[at];
            if ((next & 1) != 0) continue;
            if (next > worst) break;
            next |= 1;
            ++expanded;
            int32_t* fresh = scratch.touched.data() + touched;
            const int n = loops.collect(visited, list_of(next), level.width, nodes, fresh);
            scorer.fetch(fresh, n);
            touched += static_cast<size_t>(n);
        }
        if (expanded == 0) break;
        counters.hops += expanded;
        cursor = std::min(cursor, score_from(first));
        while (cursor < frontier.size() && (frontier.data()[cursor] & 1) != 0) ++cursor;
    }
    scratch.visited.clear(scratch.touched, touched);
    return finished;
}

// Walks passing nodes only, through failing neighbours where needed; scratch.pool gets the ef nearest found.
// Returns false when `budget` distances were spent first.
template <class Scorer, class Accept>
bool walk_two_hops(const LevelView& level, const Scorer& scorer, const Accept& accept, const int32_t* entries,
                   int n_entries, int ef, int64_t budget, WalkScratch& scratch, WalkCounters& counters) {
    const Simd& loops = simd();
    Pool& pool = scratch.pool;
    pool.reset(ef);
    scratch.visited.resize(level.nodes);
    uint32_t* visited = scratch.visited.words();
    const auto nodes = static_cast<uint32_t>(level.nodes);
    const int64_t start = counters.distances;
    size_t touched = 0;
    const auto room = [&](size_t more) {
        if (scratch.touched.size() < touched + more) scratch.touched.resize(2 * (touched + more));
    };
    std::vector<int32_t>& passing = scratch.passing;
    passing.resize(static_cast<size_t>(level.width * (level.width + 2) + n_entries));
    scratch.keys.resize(std::max(scratch.keys.size(), passing.size()));
    int n = 0;
    const auto score = [&] {
        scorer(passing.data(), n, 0, scratch.keys.data());
        counters.distances += n;
        const int place = loops.absorb(pool.buffers(), pool.size_of(), ef, passing.data(), scratch.keys.data(), n,
                                       level.lists, level.width);
        n = 0;
        return place;
    };
    // Enough passing neighbours for a step that moves on; more cost distances, fewer lose the way.
    const int enough = level.width;
    const auto expand = [&](int32_t node) {
        room(static_cast<size_t>(level.width) + 16);
        const size_t first = touched;
        const int32_t* list = level.lists + static_cast<int64_t>(node) * level.width;
        touched +=
            static_cast<size_t>(loops.collect(visited, list, level.width, nodes, scratch.touched.data() + touched));
        const size_t last = touched;
        for (size_t i = first; i < last; ++i) {
            const int32_t near = scratch.touched[i];
            if (accept(near)) {
                passing[static_cast<size_t>(n++)] = near;
            } else {
                const int32_t* beyond = level.lists + static_cast<int64_t>(near) * level.width;
                __builtin_prefetch(beyond);
                __builtin_prefetch(beyond + 16);
            }
        }
        for (size_t i = first; i < last && n < enough; ++i) {
            const int32_t bridge = scratch.touched[i];
            if (accept(bridge)) continue;
            room(static_cast<size_t>(level.width) + 16);
            const int32_t* beyond = level.lists + static_cast<int64_t>(bridge) * level.width;
            const int reached = loops.peek(visited, beyond, level.width, nodes, scratch.touched.data() + touched);
            int kept = 0;
            for (int j = 0; j < reached; ++j) {
                const int32_t other = scratch.touched[touched + static_cast<size_t>(j)];
                if (!accept(other)) continue;
                // Only what is scored is marked: a failing node stays a bridge for others.
                if ((visited[other >> 5] >> (other & 31) & 1) != 0) continue;
                visited[other >> 5] |= 1U << (other & 31);
                passing[static_cast<size_t>(n++)] = other;
                scratch.touched[touched + static_cast<size_t>(kept++)] = other;
            }
            touched += static_cast<size_t>(kept);
        }
    };
    for (int i = 0; i < n_entries; ++i) {
        const int32_t entry = entries[i];
        room(1);
        if ((visited[entry >> 5] >> (entry & 31) & 1) != 0) continue;
        visited[entry >> 5] |= 1U << (entry & 31);
        scratch.touched[touched++] = entry;
        if (accept(entry)) {
            passing[static_cast<size_t>(n++)] = entry;
        } else {
            score();
            expand(entry);
        }
    }
    score();
    int cursor = 0;
    bool finished = true;
    while (cursor < pool.size()) {
        uint64_t& next = pool.data()[cursor];
        if ((next & 1) != 0) {
            ++cursor;
            continue;
        }
        if (counters.distances - start > budget) {
            finished = false;
            break;
        }
        next |= 1;
        ++counters.hops;
        expand(pool_node(next));
        cursor = std::min(cursor, score());
    }
    scratch.visited.clear(scratch.touched, touched);
    return finished;
}

}  // namespace nearrow
