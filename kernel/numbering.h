// Numbering: how do the values of a column become small numbers, and which numbers are marked?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nearrow {

// Numbers different strings from 1 on in the order in which they come; 0 is null.
class StringNumbers {
  public:
    // limit: with more different strings than this it gives up.
    explicit StringNumbers(std::size_t limit);

    // Writes the number of each string of a column: 0 for one that is null or does not lie inside of the data. Columns
    // that come later go on with the same numbers. Returns false, having written in part, beyond the limit.
    // `offsets` holds rows + 1 positions in `data`, read unaligned; `valid` has bit valid_offset + i for row i, or is
    // empty. REQUIRES: numbers has room for all rows.
    bool number(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                std::span<const std::byte> valid, std::size_t valid_offset, std::size_t rows, std::int32_t* numbers);

    // The strings one after the other, and where each begins; the last place is the end.
    const std::string& bytes() const { return bytes_; }
    const std::vector<std::int64_t>& starts() const { return starts_; }

  private:
    struct Entry {
        std::uint64_t first;
        std::uint64_t last;
        std::size_t length;
    };
    void grow();

    std::size_t limit_;
    std::vector<Entry> entries_;
    std::string bytes_;
    std::vector<std::int64_t> starts_{0};
    std::vector<std::int32_t> slots_;  // open addressing: an entry, or -1; mostly empty
    std::size_t mask_ = 0;
};

// Of each row's numbers writes each different one once, in the order in which they come, and where each row's begin.
// places: rows + 1 positions in `numbers`. Returns how many were written; −1 if a place lies outside or a number is not
// below `distinct`. REQUIRES: room for all numbers, and for rows + 1 starts.
std::int64_t once_each(std::span<const std::int32_t> numbers, std::span<const std::int64_t> places,
                       std::size_t distinct, std::int32_t* kept, std::int32_t* starts);

// Bit i of `bits` is set if marks[numbers[i]] is; a number that has no mark is not marked. Zero past the end.
// REQUIRES: room for (numbers.size() + 7) / 8 bytes of bits.
template <class Number>
void marked(std::span<const Number> numbers, std::span<const std::uint8_t> marks, std::uint8_t* bits);

// The rows that have a marked element: quick where few elements are. starts: rows + 1 ascending places of elements.
// Returns false, having written in part, when an element belongs to no row. REQUIRES: bits end with zeros, room for
// (rows + 7) / 8 bytes.
bool rows_of_marked(std::span<const std::uint8_t> bits, std::span<const std::int32_t> starts, std::uint8_t* rows);

}  // namespace nearrow
