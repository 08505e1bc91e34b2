// String match: which strings of an Arrow column are one of a few? Packed bits out, least significant first.
//
// A string is told by its length, its first and its last 8 bytes; only where all three agree and it is longer than 16
// bytes are the rest compared. So a row costs a few loads and no branch that the data decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "string_rows.h"

namespace nearrow {

// Strings to look for. Any number, any length.
class StringSet {
  public:
    // Copies them; repeated ones count once.
    explicit StringSet(std::span<const std::string_view> values);

    std::size_t size() const { return entries_.size(); }

    // Bit i of `bits` is set if string i of the column is in the set: rows bits, zero past the end.
    // `offsets` holds rows + 1 positions in `data`, read unaligned; one that points outside of it matches nothing.
    // REQUIRES: offsets.size() >= (rows + 1) * (wide ? 8 : 4), bits.size() >= (rows + 7) / 8.
    void match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data, std::size_t rows,
               std::span<std::uint8_t> bits) const;

  private:
    struct Entry {
        std::uint64_t first;
        std::uint64_t last;
        std::size_t length;
        std::size_t rest;  // where its bytes begin in bytes_
    };
    void match_one(const StringRows& strings, std::span<const std::byte> offsets, bool wide, std::size_t rows,
                   std::span<std::uint8_t> bits) const;
    void match_few(const StringRows& strings, std::span<const std::byte> offsets, bool wide, std::size_t rows,
                   std::span<std::uint8_t> bits) const;
    static constexpr std::size_t kNowhere = ~std::size_t{0};  // the length of an entry that nothing equals
    void spread_few();
    bool may_contain(std::size_t hash) const {
        return ((filter_[hash >> filter_shift_ >> 6] >> (hash >> filter_shift_ & 63)) & 1) != 0;
    }
    bool contains(const std::byte* at, std::size_t length, std::uint64_t first, std::uint64_t last) const;

    std::vector<Entry> entries_;
    std::string bytes_;
    std::vector<std::int32_t> slots_;  // open addressing: an entry, or -1; mostly empty
    std::size_t mask_ = 0;
    std::vector<std::uint64_t> filter_;  // a bit for the hash of each entry: small enough to stay in the cache
    int filter_shift_ = 0;
    std::vector<bool> lengths_;         // which lengths occur, up to a limit
    std::vector<Entry> few_;            // a few entries, each in its own slot
    std::vector<StringEnds> few_ends_;  // the same for column_loops(), if ends tell them
    std::uint64_t few_factor_ = 0;
    int few_shift_ = 0;
};

}  // namespace nearrow
