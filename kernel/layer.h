// Layer: the adjacency of one level while it grows, with slack so that reverse edges rarely force a pruning.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "graph_view.h"
#include "parallel.h"

namespace nearrow {

struct Layer {
    int limit = 0;     // links kept per node at the end
    int capacity = 0;  // links that fit while building
    int select = 0;    // links given to a new node
    int32_t nodes = 0;
    Buffer lists;  // int32[nodes][capacity], −1 after the last; in huge pages when large, for walks read it at random
    std::vector<uint16_t> degrees;

    Layer() = default;
    Layer(int32_t nodes_, int limit_, int capacity_, int select_, Team& team)
        : limit(limit_),
          capacity(capacity_),
          select(select_),
          nodes(nodes_),
          lists(static_cast<size_t>(nodes_) * static_cast<size_t>(capacity_) * sizeof(int32_t)) {
        team.each(nodes, 16384, [&](int, int64_t begin, int64_t end) {
            std::fill(list(static_cast<int32_t>(begin)), list(static_cast<int32_t>(end)), -1);
        });
        degrees.assign(static_cast<size_t>(nodes), 0);
    }
    int32_t* list(int32_t node) {
        return reinterpret_cast<int32_t*>(lists.data()) + static_cast<size_t>(node) * static_cast<size_t>(capacity);
    }
    const int32_t* list(int32_t node) const {
        return reinterpret_cast<const int32_t*>(lists.data()) +
               static_cast<size_t>(node) * static_cast<size_t>(capacity);
    }
    int degree(int32_t node) const { return degrees[static_cast<size_t>(node)]; }
    void set(int32_t node, const int32_t* neighbours, int n) {
        int32_t* to = list(node);
        for (int j = 0; j < capacity; ++j) to[j] = j < n ? neighbours[j] : -1;
        degrees[static_cast<size_t>(node)] = static_cast<uint16_t>(n);
    }
    LevelView view() const { return {list(0), capacity, nodes}; }
};

}  // namespace nearrow
