#include "flat_scan.h"

#include <algorithm>

namespace nearrow {
namespace {

struct Hit {
    uint32_t key;
    int64_t position;
    bool operator<(const Hit& other) const { return key != other.key ? key < other.key : position < other.position; }
};

}  // namespace

int64_t flat_search(const Vectors& vectors, const ExactScorer& scorer, int64_t k, const AcceptBits& accept,
                    int64_t* positions, float* distances) {
    const int64_t wanted = std::min(k, vectors.rows());
    if (wanted <= 0) return 0;
    std::vector<Hit> heap;  // the worst of the best on top
    heap.reserve(static_cast<size_t>(wanted) + 1);
    each_accepted(vectors.rows(), accept, [&](int64_t position) {
        const Hit hit{sortable(scorer.distance(position)), position};
        if (static_cast<int64_t>(heap.size()) < wanted) {
            heap.push_back(hit);
            std::push_heap(heap.begin(), heap.end());
        } else if (hit < heap.front()) {
            std::pop_heap(heap.begin(), heap.end());
            heap.back() = hit;
            std::push_heap(heap.begin(), heap.end());
        }
    });
    std::sort_heap(heap.begin(), heap.end());
    for (size_t i = 0; i < heap.size(); ++i) {
        positions[i] = heap[i].position;
        distances[i] = from_sortable(heap[i].key);
    }
    return static_cast<int64_t>(heap.size());
}

std::vector<std::pair<float, int64_t>> flat_range(const Vectors& vectors, const ExactScorer& scorer, float radius,
                                                  const AcceptBits& accept) {
    std::vector<std::pair<float, int64_t>> hits;
    each_accepted(vectors.rows(), accept, [&](int64_t position) {
        const float distance = scorer.distance(position);
        if (distance <= radius) hits.emplace_back(distance, position);
    });
    std::sort(hits.begin(), hits.end());
    return hits;
}

}  // namespace nearrow
