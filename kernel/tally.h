// Tally: how often does each small number occur among the rows that are wanted?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearrow {

// Adds to counts[n] how often n is among the numbers of the wanted rows (a bit each; null data: all of them).
// starts: rows + 1 positions in `numbers` where each row's begin; empty: row i has number i.
// Returns false, having counted in part, when a number or a position lies outside.
template <class Number>
bool tally(std::span<const Number> numbers, std::span<const std::int32_t> starts, const std::uint8_t* wanted,
           std::size_t rows, std::span<std::int64_t> counts);

}  // namespace nearrow
