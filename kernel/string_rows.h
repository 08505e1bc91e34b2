// String rows: how is every string of an Arrow column looked at without reading outside of its data?
//
// Offsets may come from a damaged file: a string that does not lie inside of the data matches nothing. Words are read
// without a branch that the data decides; near its end with what lies before them, which is shifted out.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "column_loops.h"

namespace nearrow {

// A hash of what tells a string: its first and last 8 bytes and its length.
inline constexpr int kHashBits = 48;  // what the hash has
inline std::size_t hash_of_ends(std::uint64_t first, std::uint64_t last, std::size_t length) {
    std::uint64_t mixed = (first ^ std::rotl(last, 29) ^ (length << 3)) * 0x9E3779B97F4A7C15U;
    mixed ^= mixed >> 32;
    return static_cast<std::size_t>(mixed * 0xD6E8FEB86659FD93U >> 16);
}

// What of a string's first and last 8 bytes is its own, by its length: of one of at most 8 bytes nothing is last.
struct EndMasks {
    std::uint64_t first;
    std::uint64_t last;
};
inline constexpr std::size_t kTold = 16;  // bytes of a string that both ends tell
inline constexpr std::array<EndMasks, kTold + 1> kEndMasks = [] {
    std::array<EndMasks, kTold + 1> masks{};
    for (std::size_t length = 0; length <= kTold; ++length) {
        masks[length].first = length >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * length)) - 1;
        masks[length].last = length > 8 ? ~std::uint64_t{0} : 0;
    }
    return masks;
}();

// The offset of a row, 8 bytes if `wide`, else 4, read unaligned.
inline std::size_t string_offset(std::span<const std::byte> offsets, bool wide, std::size_t row) {
    if (wide) {
        std::uint64_t value;
        std::memcpy(&value, offsets.data() + row * sizeof value, sizeof value);
        return static_cast<std::size_t>(value);
    }
    std::uint32_t value;
    std::memcpy(&value, offsets.data() + row * sizeof value, sizeof value);
    return value;
}

class StringRows {
  public:
    explicit StringRows(std::span<const std::byte> data) : data_(data.data()), size_(data.size()) {
        if (size_ >= sizeof(std::uint64_t)) {
            last_load_ = size_ - sizeof(std::uint64_t);
            return;
        }
        if (size_ > 0) std::memcpy(short_.data(), data.data(), size_);
        data_ = short_.data();
    }
    StringRows(const StringRows&) = delete;
    StringRows& operator=(const StringRows&) = delete;

    std::size_t size() const { return size_; }
    const std::byte* at(std::size_t start) const { return data_ + start; }
    // Strings that begin at least 8 bytes after the beginning of the data and 32 before its end: both ends of one of at
    // most kTold bytes are read without care.
    struct Easy {
        const std::byte* data;
        std::size_t places;
        bool holds(std::size_t start) const { return start - 8 < places; }
        // The 8 bytes at a place.
        std::uint64_t word(std::size_t at) const {
            std::uint64_t word;
            std::memcpy(&word, data + at, sizeof word);
            return word;
        }
    };
    Easy easy() const { return {data_, size_ >= 40 ? size_ - 40 : 0}; }

    // All bits if `holds`, else none: a choice without a branch.
    static std::uint64_t only_if(bool holds) { return std::uint64_t{0} - static_cast<std::uint64_t>(holds); }
    // The bytes that a string of so many has among its first 8.
    static std::uint64_t mask_of(std::size_t length) {
        return length >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * length)) - 1;
    }
    // The first 8 bytes of a string under a mask. REQUIRES: it lies inside of the data, as do these:
    std::uint64_t masked_word(std::size_t start, std::uint64_t mask) const {
        if (start <= last_load_) [[likely]]
            return load(start) & mask;
        return (load(last_load_) >> (8 * std::min<std::size_t>(start - last_load_, 7))) & mask;
    }
    // The first 8 bytes of a string, zeros above a shorter one.
    std::uint64_t first_word(std::size_t start, std::size_t length) const {
        return masked_word(start, mask_of(length));
    }
    // The last 8 bytes of a string of more than 8, else 0.
    std::uint64_t last_word(std::size_t start, std::size_t length) const {
        const bool longer = length > 8;
        return load(longer ? start + length - 8 : 0) & only_if(longer);
    }
    // The last bytes of a string of at most 8, or the last 8 of a longer one, as an integer that ends with them.
    std::uint64_t end_word(std::size_t end, std::size_t length) const {
        const std::size_t wanted = std::min<std::size_t>(length, 8);
        return first_word(end - wanted, wanted);
    }

    // Whether a string of at least `size` bytes ends with `word`, the integer of its last min(size, 8) bytes.
    bool ends_with(std::size_t end, std::size_t size, std::uint64_t word) const {
        const std::size_t wanted = std::min<std::size_t>(size, 8);
        if (end >= 8 && wanted > 0) [[likely]]
            return load(end - 8) >> (64 - 8 * wanted) == word;
        return end_word(end, wanted) == word;
    }

    // Sets bit i if test(start, length) holds for string i; zeros past the end. Offsets are read unaligned.
    // REQUIRES: room for rows + 1 offsets and for (rows + 7) / 8 bytes of bits.
    template <class Test>
    void each(std::span<const std::byte> offsets, bool wide, std::size_t rows, std::span<std::uint8_t> bits,
              const Test& test) const {
        each(offsets, wide, rows, bits, test, [](std::size_t, std::size_t) { return false; }, test);
    }
    // The same, but quick(start, length) is asked where easy(start, length) holds, of offsets that nobody looked at:
    // it must not hold for a string that lies outside.
    template <class Test, class Easy, class Quick>
    void each(std::span<const std::byte> offsets, bool wide, std::size_t rows, std::span<std::uint8_t> bits,
              const Test& test, const Easy& easy, const Quick& quick) const {
        wide ? each_row<std::uint64_t>(offsets.data(), rows, bits.data(), test, easy, quick)
             : each_row<std::uint32_t>(offsets.data(), rows, bits.data(), test, easy, quick);
    }

    // The same where column_loops() go first, if there are any: `wanted` tells them what the tests tell.
    template <class Test, class Easy, class Quick>
    void each(std::span<const StringEnds> wanted, std::span<const std::byte> offsets, bool wide, std::size_t rows,
              std::span<std::uint8_t> bits, const Test& test, const Easy& easy, const Quick& quick) const {
        const ColumnLoops* loops = wide || wanted.empty() ? nullptr : column_loops();
        if (loops == nullptr) return each(offsets, wide, rows, bits, test, easy, quick);
        for (std::size_t row = 0; row < rows;) {
            row = loops->match_ends(offsets.data(), data_, size_, row, rows, wanted.data(),
                                    static_cast<int>(wanted.size()), bits.data());
            const std::size_t group = std::min(kGroup, rows - row);
            if (group > 0) each(offsets.subspan(4 * row), wide, group, bits.subspan(row / kGroup), test, easy, quick);
            row += group;
        }
    }

  private:
    std::uint64_t load(std::size_t at) const {
        std::uint64_t word;
        std::memcpy(&word, data_ + at, sizeof word);
        return word;
    }

    template <class Offset, class Test, class Easy, class Quick>
    void each_row(const std::byte* offsets, std::size_t rows, std::uint8_t* bits, const Test& test, const Easy& easy,
                  const Quick& quick) const {
        const std::size_t size = size_;  // of its own, for what bits are stored into might be anything else
        Offset before;
        std::memcpy(&before, offsets, sizeof before);
        for (std::size_t base = 0; base < rows; base += 8) {
            const std::size_t last = std::min(rows, base + 8);
            unsigned byte = 0;
            for (std::size_t row = base; row < last; ++row) {
                Offset after;
                std::memcpy(&after, offsets + (row + 1) * sizeof after, sizeof after);
                const std::size_t start = before;
                const std::size_t end = after;
                before = after;
                if (easy(start, end - start)) [[likely]]
                    byte |= static_cast<unsigned>(quick(start, end - start)) << (row - base);
                else if (start <= end && end <= size)
                    byte |= static_cast<unsigned>(test(start, end - start)) << (row - base);
            }
            bits[base >> 3] = static_cast<std::uint8_t>(byte);
        }
    }

    const std::byte* data_;
    std::size_t size_;
    std::size_t last_load_ = 0;
    std::array<std::byte, sizeof(std::uint64_t)> short_{};  // data of less than a word, padded
};

}  // namespace nearrow
