// Flat scan: which rows are nearest when every accepted row is looked at? Exact distances, no index.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bitset.h"
#include "exact.h"

namespace nearrow {

// The k nearest accepted rows, sorted by (distance, position); returns how many there are. REQUIRES: scorer.set_query.
int64_t flat_search(const Vectors& vectors, const ExactScorer& scorer, int64_t k, const AcceptBits& accept,
                    int64_t* positions, float* distances);

// Every accepted row with distance <= radius, sorted by (distance, position).
std::vector<std::pair<float, int64_t>> flat_range(const Vectors& vectors, const ExactScorer& scorer, float radius,
                                                  const AcceptBits& accept);

// Calls visit(position) for every accepted position below `rows`, in order.
template <class Visit>
void each_accepted(int64_t rows, const AcceptBits& accept, const Visit& visit) {
    if (accept.data == nullptr) {
        for (int64_t position = 0; position < rows; ++position) visit(position);
        return;
    }
    for (int64_t base = 0; base < rows; base += 64) {
        uint64_t word = 0;
        const int64_t left = rows - base;
        std::memcpy(&word, accept.data + base / 8, static_cast<size_t>(left >= 64 ? 8 : (left + 7) / 8));
        if (left < 64) word &= (uint64_t{1} << left) - 1;
        for (; word != 0; word &= word - 1) visit(base + std::countr_zero(word));
    }
}

// The first accepted position in [begin, end), or −1.
inline int64_t next_accepted(const AcceptBits& accept, int64_t begin, int64_t end) {
    for (int64_t position = begin; position < end; ++position) {
        if ((position & 7) == 0 && accept.data[position >> 3] == 0) {
            position += 7;
            continue;
        }
        if (accept.test(position)) return position;
    }
    return -1;
}

}  // namespace nearrow
