// List match: which lists of an Arrow column have a marked element, or nothing else?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearrow {

// Bit i of `bits` is set if some element of list i is marked, or if `every` one is (so of an empty list).
// `offsets` holds rows + 1 positions, read unaligned; `marks` is a bit for each element from position `first` on. A
// list that does not lie among them matches nothing. REQUIRES: room for rows + 1 offsets and (rows + 7) / 8 bytes of
// bits.
void match_lists(std::span<const std::byte> offsets, bool wide, std::size_t rows, std::span<const std::uint8_t> marks,
                 std::uint64_t first, std::uint64_t elements, bool every, std::span<std::uint8_t> bits);

// Whether positions, 8 bytes wide or 4 and signed, begin at 0 or later and never go back. Read unaligned.
bool in_order(std::span<const std::byte> offsets, bool wide);

}  // namespace nearrow
