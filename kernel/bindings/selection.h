// Selection: which rows of a graph may a search return, and what was prepared to find them quickly?
#pragma once

#include <memory>
#include <vector>

#include "../searcher.h"
#include "arrays.h"

namespace nearrow {

// How much is prepared of a filter, for it costs time and memory: nothing; its rows in the order of the graph's nodes;
// a sketch of them, too.
enum class Depth : int { rows = 0, nodes = 1, sketch = 2 };

// Immutable. REQUIRES: the graph outlives it.
class Selection {
  public:
    Selection(const GraphView& graph, Bits accept, std::optional<int64_t> count, Depth depth)
        : graph_(&graph), accept_(std::move(accept)), bits_(accept_bits(accept_, count, graph.rows())) {
        const nanobind::gil_scoped_release release;
        if (depth == Depth::rows) return;
        nodes_.assign((static_cast<size_t>(graph.nodes()) + 7) / 8, 0);
        node_bits(graph, bits_, nodes_.data());
        bits_.nodes = nodes_.data();
        if (depth != Depth::sketch || !can_sketch(graph, bits_.count)) return;
        sketch_ = std::make_unique<Sketch>(graph, nodes_.data());
        bits_.sketch = sketch_.get();
    }
    Selection(const Selection&) = delete;
    Selection& operator=(const Selection&) = delete;

    const GraphView& graph() const { return *graph_; }
    const AcceptBits& bits() const { return bits_; }
    size_t nbytes() const { return nodes_.size() + (sketch_ == nullptr ? 0 : sketch_->nbytes()); }
    bool has_sketch() const { return sketch_ != nullptr; }

  private:
    const GraphView* graph_;
    Bits accept_;
    AcceptBits bits_;
    std::vector<uint8_t> nodes_;
    std::unique_ptr<Sketch> sketch_;
};

}  // namespace nearrow
