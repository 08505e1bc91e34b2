// Lent chunks: how are the chunks of an Arrow column borrowed for the time of a call?
//
// Python names each by the buffers and the place in them: positions (buffer, first row, rows, whether 8 bytes wide);
// strings (positions, data, validity or None); lists (positions, strings).
#pragma once

#include <nanobind/nanobind.h>

#include <deque>
#include <vector>

#include "../chunks.h"
#include "lent.h"

namespace nearrow {

class LentChunks {
  public:
    std::vector<Offsets> offsets(const nanobind::sequence& chunks) {
        return all<Offsets>(chunks, &LentChunks::one_of_offsets);
    }
    std::vector<StringChunk> strings(const nanobind::sequence& chunks) {
        return all<StringChunk>(chunks, &LentChunks::one_of_strings);
    }
    std::vector<ListChunk> lists(const nanobind::sequence& chunks) {
        return all<ListChunk>(chunks, &LentChunks::one_of_lists);
    }

  private:
    template <class Chunk>
    std::vector<Chunk> all(const nanobind::sequence& chunks, Chunk (LentChunks::*one)(const nanobind::tuple&)) {
        std::vector<Chunk> found;
        for (const nanobind::handle chunk : chunks)
            found.push_back((this->*one)(nanobind::cast<nanobind::tuple>(chunk)));
        return found;
    }
    Offsets one_of_offsets(const nanobind::tuple& chunk) {
        const auto first = nanobind::cast<std::size_t>(chunk[1]);
        const auto rows = nanobind::cast<std::size_t>(chunk[2]);
        const auto wide = nanobind::cast<bool>(chunk[3]);
        return {offsets_of(lent_.emplace_back(chunk[0]), first, rows, wide), wide, rows};
    }
    StringChunk one_of_strings(const nanobind::tuple& chunk) {
        const auto positions = nanobind::cast<nanobind::tuple>(chunk[0]);
        const auto first = nanobind::cast<std::size_t>(positions[1]);
        StringChunk found{one_of_offsets(positions), lent_.emplace_back(chunk[1]).bytes(),
                          lent_.emplace_back(chunk[2]).bytes(), first};
        if (!found.valid.empty() && found.valid.size() < (first + found.offsets.rows + 7) / 8)
            throw std::invalid_argument("the column's validity is shorter than its rows");
        return found;
    }
    ListChunk one_of_lists(const nanobind::tuple& chunk) {
        return {one_of_offsets(nanobind::cast<nanobind::tuple>(chunk[0])),
                one_of_strings(nanobind::cast<nanobind::tuple>(chunk[1]))};
    }

    std::deque<Lent> lent_;  // which never moves
};

// Bytes of bits for all chunks, each of which begins with a byte of its own.
template <class Chunk>
std::size_t bytes_of_bits(const std::vector<Chunk>& chunks) {
    std::size_t bytes = 0;
    for (const Chunk& chunk : chunks) bytes += (chunk.offsets.rows + 7) / 8;
    return bytes;
}

}  // namespace nearrow
