#include "string_match.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace nearrow {
namespace {

constexpr std::size_t kFew = 8;             // so many strings are compared with each row rather than hashed
constexpr std::size_t kSlotsPerValue = 8;   // mostly empty, so that the branch for "not there" is predicted
constexpr std::size_t kLengthsTold = 4096;  // longer strings are all taken to be possible

std::uint64_t load(const std::byte* at) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

// Up to 8 bytes as an integer, zeros above.
std::uint64_t load_short(const std::byte* at, std::size_t length) {
    std::uint64_t word = 0;
    if (length > 0) std::memcpy(&word, at, length);
    return word;
}

// The first 8 bytes of a string that lies in `data` at `start`, zeros above a shorter one.
std::uint64_t first_word(std::span<const std::byte> data, std::size_t start, std::size_t length) {
    if (start + 8 <= data.size()) {
        const std::uint64_t word = load(data.data() + start);
        return length >= 8 ? word : word & ((std::uint64_t{1} << (8 * length)) - 1);
    }
    return load_short(data.data() + start, std::min<std::size_t>(length, 8));
}

std::uint64_t last_word(const std::byte* at, std::size_t length) { return length > 8 ? load(at + length - 8) : 0; }

std::size_t hash_of(std::uint64_t first, std::uint64_t last, std::size_t length) {
    std::uint64_t mixed = (first ^ std::rotl(last, 29) ^ (length << 3)) * 0x9E3779B97F4A7C15U;
    mixed ^= mixed >> 32;
    return static_cast<std::size_t>(mixed * 0xD6E8FEB86659FD93U >> 16);
}

template <class Offset>
Offset offset_at(const std::byte* offsets, std::size_t row) {
    Offset value;
    std::memcpy(&value, offsets + row * sizeof value, sizeof value);
    return value;
}

}  // namespace

StringSet::StringSet(std::span<const std::string_view> values) {
    const std::size_t slots = std::bit_ceil(kSlotsPerValue * values.size() + 2);
    slots_.assign(slots, -1);
    mask_ = slots - 1;
    std::size_t total = 0;
    for (const std::string_view value : values) total += value.size();
    bytes_.reserve(total);
    for (const std::string_view value : values) {
        const auto* at = reinterpret_cast<const std::byte*>(value.data());
        const std::uint64_t first = load_short(at, std::min<std::size_t>(value.size(), 8));
        const std::uint64_t last = last_word(at, value.size());
        if (contains(at, value.size(), first, last)) continue;
        std::size_t slot = hash_of(first, last, value.size()) & mask_;
        while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<std::int32_t>(entries_.size());
        entries_.push_back({first, last, value.size(), bytes_.size()});
        bytes_.append(value);
        const std::size_t told = std::min(value.size(), kLengthsTold);
        if (lengths_.size() <= told) lengths_.resize(told + 1, false);
        lengths_[told] = true;
    }
}

bool StringSet::contains(const std::byte* at, std::size_t length, std::uint64_t first, std::uint64_t last) const {
    for (std::size_t slot = hash_of(first, last, length) & mask_; slots_[slot] >= 0; slot = (slot + 1) & mask_) {
        const Entry& entry = entries_[static_cast<std::size_t>(slots_[slot])];
        if (entry.first != first || entry.last != last || entry.length != length) continue;
        if (length <= 16 || std::memcmp(bytes_.data() + entry.rest, at, length) == 0) return true;
    }
    return false;
}

void StringSet::match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data, std::size_t rows,
                      std::span<std::uint8_t> bits) const {
    std::fill(bits.begin(), bits.end(), std::uint8_t{0});
    if (entries_.empty() || rows == 0) return;
    if (entries_.size() == 1) {
        return wide ? match_one<std::uint64_t>(offsets.data(), data, rows, bits.data())
                    : match_one<std::uint32_t>(offsets.data(), data, rows, bits.data());
    }
    if (entries_.size() <= kFew && data.size() >= 8) {
        return wide ? match_few<std::uint64_t>(offsets.data(), data, rows, bits.data())
                    : match_few<std::uint32_t>(offsets.data(), data, rows, bits.data());
    }
    wide ? match_many<std::uint64_t>(offsets.data(), data, rows, bits.data())
         : match_many<std::uint32_t>(offsets.data(), data, rows, bits.data());
}

template <class Offset>
void StringSet::match_one(const std::byte* offsets, std::span<const std::byte> data, std::size_t rows,
                          std::uint8_t* bits) const {
    const Entry& wanted = entries_[0];
    const std::size_t length = wanted.length;
    if (length > data.size()) return;
    const std::size_t room = data.size() - length;  // the last place where it could begin
    static constexpr std::byte kNothing[8] = {};
    const std::byte* base = data.size() >= 8 ? data.data() : kNothing;
    const std::size_t last_load = data.size() >= 8 ? data.size() - 8 : 0;
    const std::uint64_t mask = length >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * length)) - 1;
    const bool rest = length > 16;
    const bool cramped = data.size() < 8 && length > 0;
    Offset before = offset_at<Offset>(offsets, 0);
    for (std::size_t row = 0; row < rows; ++row) {
        const Offset after = offset_at<Offset>(offsets, row + 1);
        const std::size_t start = before;
        const bool fits = (static_cast<std::size_t>(after) - start == length) & (start <= room);
        before = after;
        bool same;
        if (cramped) {
            same = fits && std::memcmp(data.data() + start, bytes_.data(), length) == 0;
        } else {
            // Near the end of the data a short string is read with what lies before it, and that is shifted out.
            const std::size_t at = fits ? std::min(start, last_load) : 0;
            const std::uint64_t word = load(base + at) >> (fits ? 8 * std::min<std::size_t>(start - at, 7) : 0);
            const std::uint64_t tail = length > 8 ? load(base + (fits ? start + length - 8 : 0)) : 0;
            same = fits & ((word & mask) == wanted.first) & (tail == wanted.last);
        }
        if (rest && same) same = std::memcmp(data.data() + start, bytes_.data(), length) == 0;
        bits[row >> 3] = static_cast<std::uint8_t>(bits[row >> 3] | (same ? 1U << (row & 7) : 0U));
    }
}

// REQUIRES: data.size() >= 8.
template <class Offset>
void StringSet::match_few(const std::byte* offsets, std::span<const std::byte> data, std::size_t rows,
                          std::uint8_t* bits) const {
    const std::size_t last_load = data.size() - 8;
    Offset before = offset_at<Offset>(offsets, 0);
    for (std::size_t row = 0; row < rows; ++row) {
        const Offset after = offset_at<Offset>(offsets, row + 1);
        const std::size_t start = before;
        const std::size_t end = after;
        before = after;
        if ((end < start) | (end > data.size())) continue;
        const std::size_t length = end - start;
        const std::byte* at = data.data() + start;
        std::uint64_t first;
        if (start <= last_load) {
            first = load(at) & (length >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * (length & 7))) - 1);
        } else {
            first = load_short(at, length);  // fewer than 8 bytes are left
        }
        const bool longer = length > 8;
        const std::uint64_t tail = load(longer ? at + length - 8 : data.data()) & (longer ? ~std::uint64_t{0} : 0);
        bool same = false;
        for (const Entry& entry : entries_)
            same |= (entry.first == first) & (entry.last == tail) & (entry.length == length);
        if (same && length > 16) same = contains(at, length, first, tail);
        bits[row >> 3] = static_cast<std::uint8_t>(bits[row >> 3] | (same ? 1U << (row & 7) : 0U));
    }
}

template <class Offset>
void StringSet::match_many(const std::byte* offsets, std::span<const std::byte> data, std::size_t rows,
                           std::uint8_t* bits) const {
    Offset before = offset_at<Offset>(offsets, 0);
    for (std::size_t row = 0; row < rows; ++row) {
        const Offset after = offset_at<Offset>(offsets, row + 1);
        const std::size_t start = before;
        const std::size_t end = after;
        before = after;
        if (end < start || end > data.size()) continue;
        const std::size_t length = end - start;
        const std::size_t told = std::min(length, kLengthsTold);
        if (told >= lengths_.size() || !lengths_[told]) continue;
        const std::byte* at = data.data() + start;
        if (contains(at, length, first_word(data, start, length), last_word(at, length))) {
            bits[row >> 3] = static_cast<std::uint8_t>(bits[row >> 3] | 1U << (row & 7));
        }
    }
}

}  // namespace nearrow
