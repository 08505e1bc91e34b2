// Numbering: how do the values of a column become small numbers, and which numbers are marked?
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "string_rows.h"

namespace nearrow {

// Numbers different strings from 1 on in the order in which they come; 0 is null.
class StringNumbers {
  public:
    // limit: with more different strings than this it gives up.
    explicit StringNumbers(std::size_t limit);

    // Writes the number of each string of a column from row `first` on: 0 for one that is null or does not lie inside
    // of the data. Columns that come later go on with the same numbers. Returns the row at which it stopped: `rows`, or
    // the first one whose number would exceed the limit or what a Number holds. `offsets` holds rows + 1 positions in
    // `data`, read unaligned; `valid` has bit valid_offset + i for row i, or is empty. REQUIRES: room for all rows.
    template <class Number>
    std::size_t number(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                       std::span<const std::byte> valid, std::size_t valid_offset, std::size_t first, std::size_t rows,
                       Number* numbers);

    // The same in bytes, but stops at the first string that has no number yet: any number of threads may do so at once.
    // REQUIRES: no more than 255 strings have numbers.
    std::size_t number_known(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                             std::span<const std::byte> valid, std::size_t valid_offset, std::size_t first,
                             std::size_t rows, std::uint8_t* numbers) const;

    std::size_t size() const { return entries_.size(); }
    std::size_t limit() const { return limit_; }
    // The strings one after the other, and where each begins; the last place is the end.
    const std::string& bytes() const { return bytes_; }
    const std::vector<std::int64_t>& starts() const { return starts_; }

  private:
    struct Column {
        std::span<const std::byte> offsets;
        std::span<const std::byte> valid;
        std::size_t valid_offset;
    };
    struct alignas(32) Entry {
        std::uint64_t first;
        std::uint64_t last;
        std::size_t length;
    };
    template <class Number, class Other>
    std::size_t number_column(const Column& column, bool wide, const StringRows& strings, std::size_t first,
                              std::size_t rows, Number* numbers, const Other& other) const;
    template <class Offset, class Number, class Other>
    std::size_t number_rows(const Column& column, const StringRows& strings, std::size_t first, std::size_t rows,
                            Number* numbers, const Other& other) const;
    template <class Other>
    std::size_t number_short(const Column& column, const StringRows& strings, std::size_t first, std::size_t rows,
                             std::uint8_t* numbers, const Other& other) const;
    void know_short(std::size_t length, const std::byte* at);
    std::int32_t find(const std::byte* at, const Entry& entry, std::size_t& slot) const;
    std::int32_t find_or_add(const std::byte* at, const Entry& entry, std::size_t most);
    void grow();

    std::size_t limit_;
    std::vector<Entry> entries_;
    std::string bytes_;
    std::vector<std::int64_t> starts_{0};
    const ColumnLoops* loops_;
    std::unique_ptr<ShortNumbers> short_;  // for these loops, as long as a byte holds all numbers
    std::vector<std::int32_t> slots_;      // open addressing: an entry, or -1; mostly empty
    int shift_;                            // of a hash, so that a slot is left
};

// Of each row's numbers writes each different one once, in the order in which they come, and where each row's begin.
// places: rows + 1 ascending positions in `numbers`. Returns how many were written; −1 if a place lies outside or a
// number is not below `distinct`. REQUIRES: room for all numbers, and for rows + 1 starts.
template <class Number>
std::int64_t once_each(std::span<const Number> numbers, std::span<const std::int64_t> places, std::size_t distinct,
                       Number* kept, std::int32_t* starts);

// Bit i of `bits` is set if marks[numbers[i]] is; a number that has no mark is not marked. Zero past the end.
// REQUIRES: room for (numbers.size() + 7) / 8 bytes of bits.
template <class Number>
void marked(std::span<const Number> numbers, std::span<const std::uint8_t> marks, std::uint8_t* bits);

}  // namespace nearrow
