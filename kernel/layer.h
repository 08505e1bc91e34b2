// Layer: the adjacency of one level while it grows, with slack so that reverse edges rarely force a pruning.
#pragma once

#include <cstdint>
#include <vector>

#include "graph_view.h"

namespace nearrow {

struct Layer {
    int limit = 0;     // links kept per node at the end
    int capacity = 0;  // links that fit while building
    int select = 0;    // links given to a new node
    int32_t nodes = 0;
    std::vector<int32_t> lists;
    std::vector<uint16_t> degrees;

    Layer() = default;
    Layer(int32_t nodes_, int limit_, int capacity_, int select_)
        : limit(limit_), capacity(capacity_), select(select_), nodes(nodes_) {
        lists.assign(static_cast<size_t>(nodes) * static_cast<size_t>(capacity), -1);
        degrees.assign(static_cast<size_t>(nodes), 0);
    }
    int32_t* list(int32_t node) { return lists.data() + static_cast<size_t>(node) * static_cast<size_t>(capacity); }
    const int32_t* list(int32_t node) const {
        return lists.data() + static_cast<size_t>(node) * static_cast<size_t>(capacity);
    }
    int degree(int32_t node) const { return degrees[static_cast<size_t>(node)]; }
    void set(int32_t node, const int32_t* neighbours, int n) {
        int32_t* to = list(node);
        for (int j = 0; j < capacity; ++j) to[j] = j < n ? neighbours[j] : -1;
        degrees[static_cast<size_t>(node)] = static_cast<uint16_t>(n);
    }
    LevelView view() const { return {lists.data(), capacity, nodes}; }
};

}  // namespace nearrow
