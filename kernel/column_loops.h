// Column loops: which loops over Arrow columns are there for many rows at once?
//
// Each begins at a row, goes on in groups as far as it can, and returns the row at which a plain loop has to do at
// least one group; what they write is what the plain loops write. Offsets are 4 bytes wide, read unaligned, and may
// come from a damaged file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearrow {

constexpr std::size_t kGroup = 8;  // rows that are matched at once
constexpr int kEndsMax = 6;        // strings that are looked for at once

// What is looked for in a string of `length` up to `length + spread` bytes: its first and its last 8 bytes under masks.
struct StringEnds {
    std::uint64_t first;
    std::uint64_t mask;
    std::uint64_t last;
    std::uint64_t tail_mask;  // 0 for one of at most 8 bytes
    std::uint32_t length;
    std::uint32_t spread;
};

// Short strings that have numbers: each in the slot of its hash. A key is a string of fewer than 16 bytes with zeros
// behind it, and its length as the last byte; that of number 0 equals none.
constexpr std::size_t kShortKey = 16;
struct alignas(64) ShortNumbers {
    std::uint8_t slots[4096] = {};
    std::uint8_t keys[256][kShortKey] = {{}};
};

struct ColumnLoops {
    // Bit i of `bits` for each string i that one of the `count` wanted tells. REQUIRES: first is a multiple of kGroup,
    // no more than kEndsMax are wanted.
    std::size_t (*match_ends)(const std::byte* offsets, const std::byte* data, std::size_t size, std::size_t first,
                              std::size_t rows, const StringEnds* wanted, int count, std::uint8_t* bits);
    // Bit i for each list i of which some element, or every one, is marked. Marks are read below 8·(easy/8 + 1) bits
    // from element `begin` on. REQUIRES: first is a multiple of kGroup.
    std::size_t (*match_lists)(const std::byte* offsets, std::size_t first, std::size_t rows, const std::uint8_t* marks,
                               std::uint64_t begin, std::uint64_t easy, bool every, std::uint8_t* bits);
    // How many of `count` signed positions, from the first, certainly are not above the next one.
    std::size_t (*in_order)(const std::byte* offsets, std::size_t count);
    // The slot of a key.
    std::size_t (*short_slot)(const std::uint8_t* key);
    // The numbers of strings that have one.
    std::size_t (*short_numbers)(const std::byte* offsets, const std::byte* data, std::size_t size, std::size_t first,
                                 std::size_t rows, const ShortNumbers& known, std::uint8_t* numbers);
};

// The set that belongs to simd(), or null: only AVX-512 has one.
const ColumnLoops* column_loops();
#if defined(__x86_64__)
extern const ColumnLoops column_avx512;
#endif

}  // namespace nearrow
