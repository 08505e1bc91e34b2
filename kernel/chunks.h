// Chunks: how are the chunks of an Arrow column looked through, by more threads than one where that pays?
//
// Long chunks are cut into pieces; which thread does which piece changes nothing in the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "numbering.h"
#include "string_match.h"
#include "string_pattern.h"

namespace nearrow {

// Positions that belong to the rows of a chunk: one more than these, read unaligned.
struct Offsets {
    std::span<const std::byte> bytes;
    bool wide;
    std::size_t rows;

    std::span<const std::byte> from(std::size_t row) const { return bytes.subspan(row * (wide ? 8 : 4)); }
};
struct StringChunk {
    Offsets offsets;
    std::span<const std::byte> data;
    std::span<const std::byte> valid = {};  // bit valid_offset + i for row i; empty: no null
    std::size_t valid_offset = 0;
};
struct ListChunk {
    Offsets offsets;  // of elements
    StringChunk elements;
};

// For each chunk (rows + 7) / 8 bytes of bits, one after the other: of each string, whether it is one of those wanted.
void match_chunks(const StringSet& wanted, std::span<const StringChunk> chunks, int threads, std::uint8_t* bits);
void match_chunks(const StringPattern& wanted, std::span<const StringChunk> chunks, int threads, std::uint8_t* bits);
// The same of lists, as match_lists tells it: whether some string, or every one, is wanted.
void match_chunks(const StringSet& wanted, std::span<const ListChunk> chunks, bool every, int threads,
                  std::uint8_t* bits);
void match_chunks(const StringPattern& wanted, std::span<const ListChunk> chunks, bool every, int threads,
                  std::uint8_t* bits);

// Whether the positions of every chunk are in order, as in_order tells it.
bool all_in_order(std::span<const Offsets> chunks, int threads);

// Numbers all strings in the order in which they come, as StringNumbers::number does it. Returns at how many of them it
// stopped. REQUIRES: room for all rows.
std::size_t number_chunks(StringNumbers& numbering, std::span<const StringChunk> chunks, int threads,
                          std::uint8_t* numbers);

}  // namespace nearrow
