// Visited: which nodes has this walk met, and in what order?
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "simd.h"

namespace nearrow {

// A bit per node of the graph beside the list of the nodes met. Reused from walk to walk: clearing costs what was met,
// not what could be.
class Visited {
  public:
    // For a walk among so many nodes. REQUIRES: nothing is visited.
    void begin(int64_t nodes) {
        words_used_ = static_cast<size_t>((nodes + 31) / 32);
        if (words_used_ > words_.size()) words_.resize(words_used_, 0);
    }
    // Room for so many more nodes; ends what `since` and `others_of` returned.
    void reserve(size_t more) {
        const size_t wanted = size_ + more + kSpare;
        if (nodes_.size() < wanted) nodes_.resize(2 * wanted);
    }

    size_t size() const { return size_; }
    const int32_t* since(size_t first) const { return nodes_.data() + first; }
    bool contains(int32_t node) const { return ((words_[word_of(node)] >> (node & 31)) & 1) != 0; }

    // REQUIRES: room for it, and that it is not contained.
    void add(int32_t node) {
        words_[word_of(node)] |= 1U << (node & 31);
        nodes_[size_++] = node;
    }
    // Adds the ids of a list that are below `nodes` and not yet visited; returns how many. REQUIRES: room for the list.
    int add_new(const int32_t* list, int width, int32_t nodes) {
        const int n = simd().collect(words_.data(), list, width, static_cast<uint32_t>(nodes), nodes_.data() + size_);
        size_ += static_cast<size_t>(n);
        return n;
    }
    // The same without adding them: they lie where what is added next will be, so that `add` takes the place of one
    // that was read. Sets how many.
    const int32_t* others_of(const int32_t* list, int width, int32_t nodes, int* n) {
        *n = simd().peek(words_.data(), list, width, static_cast<uint32_t>(nodes), nodes_.data() + size_);
        return nodes_.data() + size_;
    }

    void clear() {
        if (size_ * 16 < words_used_) {
            for (size_t i = 0; i < size_; ++i) words_[word_of(nodes_[i])] = 0;
        } else if (words_used_ > 0) {
            std::memset(words_.data(), 0, words_used_ * sizeof(uint32_t));
        }
        size_ = 0;
    }

  private:
    static constexpr size_t kSpare = 16;  // the loops write whole vectors
    static size_t word_of(int32_t node) { return static_cast<size_t>(node) >> 5; }

    std::vector<uint32_t> words_;
    size_t words_used_ = 0;
    std::vector<int32_t> nodes_;
    size_t size_ = 0;
};

}  // namespace nearrow
