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
    Pool& found = scratch.pool;
    Pool& frontier = scratch.frontier;
    found.reset(ef);
    frontier.reset(frontier_size);
    Visited& visited = scratch.visited;
    visited.begin(level.nodes);
    const int64_t start = counters.distances;
    const auto score_from = [&](size_t first, Fetched fetched) {
        const auto n = static_cast<int>(visited.size() - first);
        const int32_t* fresh = visited.since(first);
        scorer(fresh, n, fetched, scratch.keys.data());
        counters.distances += n;
        for (int i = 0; i < n; ++i) {
            const uint64_t candidate = pool_entry(scratch.keys[static_cast<size_t>(i)], fresh[i]);
            if (candidate < found.worst() && accept(fresh[i])) found.insert(candidate);
        }
        return simd().absorb(frontier.buffers(), frontier.size_of(), frontier_size, fresh, scratch.keys.data(), n,
                             level.lists, level.width);
    };
    scratch.reserve(1);
    visited.add_new(&entry, 1, level.nodes);
    score_from(0, Fetched::none);
    int cursor = 0;
    bool finished = true;
    while (cursor < frontier.size()) {
        if (counters.distances - start > budget) {
            finished = false;
            break;
        }
        const size_t first = visited.size();
        scratch.reserve(kPerStep * level.width);
        const uint64_t worst = found.worst();
        int expanded = 0;
        for (int at = cursor; at < frontier.size() && expanded < kPerStep; ++at) {
            uint64_t& next = frontier.data()[at];
            if ((next & 1) != 0) continue;
            if (next > worst) break;
            next |= 1;
            ++expanded;
            meet_neighbours(level, pool_node(next), scorer, first, visited);
        }
        if (expanded == 0) break;
        counters.hops += expanded;
        cursor = std::min(cursor, score_from(first, Fetched::first));
        while (cursor < frontier.size() && (frontier.data()[cursor] & 1) != 0) ++cursor;
    }
    visited.clear();
    return finished;
}

// Walks passing nodes only, through failing neighbours where needed; scratch.pool gets the ef nearest found.
// Returns false when `budget` distances were spent first.
template <class Scorer, class Accept>
bool walk_two_hops(const LevelView& level, const Scorer& scorer, const Accept& accept, const int32_t* entries,
                   int n_entries, int ef, int64_t budget, WalkScratch& scratch, WalkCounters& counters) {
    Pool& pool = scratch.pool;
    pool.reset(ef);
    Visited& visited = scratch.visited;
    visited.begin(level.nodes);
    const int64_t start = counters.distances;
    std::vector<int32_t>& passing = scratch.passing;
    passing.resize(static_cast<size_t>(level.width * (level.width + 2) + n_entries));
    scratch.keys.resize(std::max(scratch.keys.size(), passing.size()));
    int n = 0;
    const auto score = [&] {
        scorer(passing.data(), n, Fetched::none, scratch.keys.data());
        counters.distances += n;
        const int place = simd().absorb(pool.buffers(), pool.size_of(), ef, passing.data(), scratch.keys.data(), n,
                                        level.lists, level.width);
        n = 0;
        return place;
    };
    // Enough passing neighbours for a step that moves on; more cost distances, fewer lose the way.
    const int enough = level.width;
    const auto expand = [&](int32_t node) {
        // Every bridge may be followed by as many nodes as a list has; what lies in between must not move.
        const auto width = static_cast<size_t>(level.width);
        visited.reserve(width * (width + 1));
        const int32_t* near_ones = visited.since(visited.size());
        const int near_count = visited.add_new(level.list(node), level.width, level.nodes);
        for (int i = 0; i < near_count; ++i) {
            const int32_t near = near_ones[i];
            if (accept(near)) {
                passing[static_cast<size_t>(n++)] = near;
            } else {
                __builtin_prefetch(level.list(near));
                __builtin_prefetch(level.list(near) + 16);
            }
        }
        for (int i = 0; i < near_count && n < enough; ++i) {
            const int32_t bridge = near_ones[i];
            if (accept(bridge)) continue;
            int reached;
            const int32_t* beyond = visited.others_of(level.list(bridge), level.width, level.nodes, &reached);
            for (int j = 0; j < reached; ++j) {
                const int32_t other = beyond[j];
                if (!accept(other)) continue;
                // Only what is scored is marked: a failing node stays a bridge for others.
                if (visited.contains(other)) continue;
                visited.add(other);
                passing[static_cast<size_t>(n++)] = other;
            }
        }
    };
    for (int i = 0; i < n_entries; ++i) {
        const int32_t entry = entries[i];
        if (visited.contains(entry)) continue;
        visited.reserve(1);
        visited.add(entry);
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
    visited.clear();
    return finished;
}

}  // namespace nearrow
