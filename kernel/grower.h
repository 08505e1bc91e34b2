// Grower: how are nodes inserted into a layer in batches? Each batch searches the frozen layer, then links both ways.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "double_walk.h"
#include "layer.h"
#include "linker.h"
#include "parallel.h"
#include "walk.h"

namespace nearrow {

struct GrowOptions {
    int ef = 80;
    int candidates = 60;  // of what a walk found, the nearest from which links are chosen
    LinkRule rule;
    bool eight = false;  // build on 8-bit codes instead of 4-bit
};

class Grower {
  public:
    // Levels above are finished: layers[level + 1 …]. `seeds` links exist already when extending.
    Grower(const BuildRows& rows, std::vector<Layer>& layers, const GrowOptions& options, Team& team);

    // Inserts nodes[0, n) of a level, in order; `present` says which nodes the level already links. `after` runs
    // between batches with how many were inserted.
    void insert(int level, const int32_t* nodes, int64_t n, const std::function<void(int64_t)>& after);

    // Drops what is over each list's limit.
    void trim(int level);
    // Links every node that the level does not reach from node 0.
    void connect_orphans(int level);

    std::vector<uint8_t>& present(int level) { return present_[static_cast<size_t>(level)]; }

  private:
    struct Worker {
        Linker linker;
        WalkScratch scratch;
        DoubleScratch both;
        WalkCounters counters;
        std::vector<uint64_t> candidates;
        std::vector<int32_t> chosen;
        std::vector<int32_t> merged;
    };
    struct Edge {
        int32_t target;
        int32_t source;
        uint64_t order;
    };
    // A node of a batch: where it lies among the upper levels' nodes.
    struct Arrival {
        uint64_t cell;
        int32_t node;
        int32_t entry;  // of the lowest level that was gone down
        int level;
        bool operator<(const Arrival& other) const {
            return cell != other.cell ? cell < other.cell : node < other.node;
        }
    };
    // Down the levels above `level`, from `top` on; `entry` is where it came to.
    int32_t enter(Worker& worker, int level, int top, int32_t entry);
    // Nodes near each other one after the other, so that what their walks read is still in the cache; small batches as
    // they come.
    void sort_by_place(int level, const int32_t* nodes, int64_t n);
    // `entry`, or a node that the level links while it does not link that one.
    int32_t linked(int level, int32_t entry) const;
    // Leaves in worker.candidates what a walk found near the node.
    void take(Worker& worker, const Pool& pool, int32_t node) const;
    void find_links(Worker& worker, int level, const Arrival& arrival, int32_t* out);
    void link_back(Worker& worker, Layer& layer, int32_t target, Edge* edges, size_t n);

    const BuildRows* rows_;
    std::vector<Layer>* layers_;
    GrowOptions options_;
    Team* team_;
    std::vector<Worker> workers_;
    std::vector<std::vector<uint8_t>> present_;
    std::vector<int32_t> first_;  // a node that each level links, −1 while empty
    std::vector<Arrival> batch_;
};

}  // namespace nearrow
