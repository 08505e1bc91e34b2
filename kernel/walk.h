// Walk: which nodes of one level are nearest to a query, by code distance? Best-first search with a sorted pool.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "fetch.h"
#include "graph_view.h"
#include "norms.h"
#include "visited.h"

namespace nearrow {

struct WalkCounters {
    int64_t hops = 0;
    int64_t distances = 0;
    int64_t reranked = 0;
    int64_t way = 0;  // how the candidates were found: a Way, plus kGivenUp
};

// A pool entry sorts by (key, node) and carries whether it was expanded in its lowest bit.
inline uint64_t pool_entry(int32_t key, int32_t node) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(key) ^ 0x80000000U) << 32) |
           (static_cast<uint64_t>(static_cast<uint32_t>(node)) << 1);
}
inline int32_t pool_node(uint64_t entry) { return static_cast<int32_t>(static_cast<uint32_t>(entry) >> 1); }
inline int32_t pool_key(uint64_t entry) {
    return static_cast<int32_t>(static_cast<uint32_t>(entry >> 32) ^ 0x80000000U);
}

// The nearest entries so far, sorted; a linear array beats a heap at these sizes.
class Pool {
  public:
    Pool() = default;
    Pool(Pool&&) = default;
    Pool& operator=(Pool&&) = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void reset(int capacity) {
        const auto room = static_cast<size_t>(capacity) + 16;
        if (2 * room > room_.size()) {
            room_.resize(2 * room);
            buffers_[0] = room_.data();
            buffers_[1] = room_.data() + room;
        }
        capacity_ = capacity;
        size_ = 0;
    }
    int size() const { return size_; }
    int* size_of() { return &size_; }
    int capacity() const { return capacity_; }
    bool full() const { return size_ == capacity_; }
    uint64_t worst() const { return full() ? data()[size_ - 1] : ~uint64_t{0}; }
    uint64_t* data() { return buffers_[0]; }
    const uint64_t* data() const { return buffers_[0]; }
    // The entries, and a place for as many: whoever inserts may swap the two.
    uint64_t** buffers() { return buffers_; }

    // Returns where the entry landed, or `size()` when it is too far.
    int insert(uint64_t entry) {
        if (entry >= worst()) return size_;
        uint64_t* base = data();
        int low = 0;
        int count = size_;
        while (count > 0) {
            const int half = count / 2;
            const bool after = base[low + half] < entry;
            low = after ? low + half + 1 : low;
            count = after ? count - half - 1 : half;
        }
        const int last = full() ? size_ - 1 : size_;
        std::memmove(base + low + 1, base + low, static_cast<size_t>(last - low) * sizeof(uint64_t));
        base[low] = entry;
        size_ = last + 1;
        return low;
    }

  private:
    std::vector<uint64_t> room_;
    uint64_t* buffers_[2] = {nullptr, nullptr};
    int capacity_ = 0;
    int size_ = 0;
};

struct WalkScratch {
    Visited visited;
    std::vector<int32_t> keys;
    std::vector<int32_t> passing;  // filtered walks: what is about to be scored
    Pool pool;
    Pool frontier;  // filtered walks: what is to be expanded, passing or not

    // Room to meet and score so many more nodes.
    void reserve(int more) {
        visited.reserve(static_cast<size_t>(more));
        if (keys.size() < static_cast<size_t>(more)) keys.resize(static_cast<size_t>(more));
    }
};

// A scorer has fetch and operator() as CodeScan has, which is one. For dot directions are coded, norms kept beside
// them.
struct ProductScorer {
    CodeScan directions;
    const float* norms;
    int32_t offset;
    float unit;
    void fetch(const int32_t* batch, int from, int to) const { directions.fetch(batch, from, to); }
    void operator()(const int32_t* nodes, int n, Fetched fetched, int32_t* keys) const {
        directions(nodes, n, fetched, keys);
        scale_by_norms(norms, 1.0F, offset, unit, nodes, n, keys);
    }
};

constexpr int kPerStep = 3;  // candidates expanded at once, so that the loads of their neighbours overlap

// Visits the neighbours of a node that were not met before, and asks for what scoring them reads. They join a batch,
// which is all that was met since there were `first`.
template <class Scorer>
void meet_neighbours(const LevelView& level, int32_t node, const Scorer& scorer, size_t first, Visited& visited) {
    const auto before = static_cast<int>(visited.size() - first);
    const int n = visited.add_new(level.list(node), level.width, level.nodes);
    scorer.fetch(visited.since(first), before, before + n);
}

// Steepest descent through the levels from `top` down to `lowest`: the node it comes to. What was scored once is not
// scored again, on no level: it was not nearer.
template <class Scorer, class LevelAt>
int32_t descend(const LevelAt& level_at, int top, int lowest, const Scorer& scorer, int32_t entry, WalkScratch& scratch,
                WalkCounters& counters) {
    if (top < lowest) return entry;
    Visited& visited = scratch.visited;
    visited.begin(level_at(lowest).nodes);
    scratch.reserve(1);
    visited.add(entry);
    int32_t best_key;
    scorer(&entry, 1, Fetched::none, &best_key);
    ++counters.distances;
    for (int above = top; above >= lowest; --above) {
        const LevelView level = level_at(above);
        for (bool nearer = true; nearer;) {
            scratch.reserve(level.width);
            const size_t first = visited.size();
            const int32_t* fresh = visited.since(first);
            meet_neighbours(level, entry, scorer, first, visited);
            const auto n = static_cast<int>(visited.size() - first);
            // One of these lists is read next, or that of the node on the level below: a line or two each.
            for (int j = 0; j < n; ++j) __builtin_prefetch(level.list(fresh[j]));
            if (above > 0) __builtin_prefetch(level_at(above - 1).list(entry));
            scorer(fresh, n, Fetched::first, scratch.keys.data());
            counters.distances += n;
            ++counters.hops;
            nearer = false;
            for (int j = 0; j < n; ++j) {
                if (scratch.keys[static_cast<size_t>(j)] >= best_key) continue;
                best_key = scratch.keys[static_cast<size_t>(j)];
                entry = fresh[j];
                nearer = true;
            }
        }
    }
    visited.clear();
    return entry;
}

// For walks whose end nobody waits for.
struct NothingToPrepare {
    void operator()(const Pool&, int) const {}
};

// How far a walk goes: until it has found `keep` nodes, and the `ef` nearest of them are expanded.
struct Beam {
    int ef;
    int keep;  // at least ef
};

// Fills scratch.pool with the nearest nodes found from the entries. Deterministic: ties go by node. After each step
// `prepare` may look at the pool and how many of its first entries are expanded, so that what comes after the walk is
// fetched before its end.
template <class Scorer, class Prepare = NothingToPrepare>
void walk(const LevelView& level, const Scorer& scorer, const int32_t* entries, int n_entries, Beam beam,
          WalkScratch& scratch, WalkCounters& counters, const Prepare& prepare = {}) {
    Pool& pool = scratch.pool;
    Visited& visited = scratch.visited;
    pool.reset(beam.keep);
    visited.begin(level.nodes);
    const auto score_from = [&](size_t first, Fetched fetched) {
        const auto n = static_cast<int>(visited.size() - first);
        const int32_t* fresh = visited.since(first);
        scorer(fresh, n, fetched, scratch.keys.data());
        counters.distances += n;
        return simd().absorb(pool.buffers(), pool.size_of(), beam.keep, fresh, scratch.keys.data(), n, level.lists,
                             level.width);
    };
    scratch.reserve(n_entries);
    visited.add_new(entries, n_entries, level.nodes);
    score_from(0, Fetched::none);

    int cursor = 0;
    const auto reach = [&] { return pool.full() ? beam.ef : pool.size(); };
    while (cursor < reach()) {
        const size_t first = visited.size();
        scratch.reserve(kPerStep * level.width);
        int expanded = 0;
        for (int at = cursor; at < reach() && expanded < kPerStep; ++at) {
            uint64_t& entry = pool.data()[at];
            if ((entry & 1) != 0) continue;
            entry |= 1;
            ++expanded;
            meet_neighbours(level, pool_node(entry), scorer, first, visited);
        }
        if (expanded == 0) break;
        counters.hops += expanded;
        const int nearest = score_from(first, Fetched::first);
        if (nearest < cursor) cursor = nearest;
        while (cursor < reach() && (pool.data()[cursor] & 1) != 0) ++cursor;
        prepare(pool, cursor);
    }
    visited.clear();
}

}  // namespace nearrow
