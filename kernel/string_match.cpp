#include "string_match.h"

#include <algorithm>
#include <bit>

#include "string_rows.h"

namespace nearrow {
namespace {

constexpr std::size_t kFew = 24;            // so few strings get a table of their own, without collisions
constexpr std::size_t kFewTries = 1000;     // factors tried until no two collide
constexpr std::size_t kSlotsPerValue = 2;   // whoever comes so far is mostly there
constexpr std::size_t kBitsPerValue = 16;   // of the filter before them
constexpr std::size_t kLengthsTold = 4096;  // longer strings are all taken to be possible

std::size_t few_slot(std::uint64_t factor, int shift, std::uint64_t first, std::uint64_t last, std::size_t length) {
    return static_cast<std::size_t>(((first ^ std::rotl(last, 29)) + length) * factor >> shift);
}

}  // namespace

StringSet::StringSet(std::span<const std::string_view> values) {
    const std::size_t slots = std::bit_ceil(kSlotsPerValue * values.size() + 2);
    slots_.assign(slots, -1);
    mask_ = slots - 1;
    const std::size_t filter = std::max<std::size_t>(std::bit_ceil(kBitsPerValue * values.size()), 64);
    filter_.assign(filter / 64, 0);
    filter_shift_ = kHashBits - std::countr_zero(filter);
    entries_.reserve(values.size());
    std::size_t total = 0;
    for (const std::string_view value : values) total += value.size();
    bytes_.reserve(total);
    for (const std::string_view value : values) {
        const StringRows one({reinterpret_cast<const std::byte*>(value.data()), value.size()});
        const std::uint64_t first = one.first_word(0, value.size());
        const std::uint64_t last = one.last_word(0, value.size());
        const auto* at = reinterpret_cast<const std::byte*>(value.data());
        if (contains(at, value.size(), first, last)) continue;
        const std::size_t hash = hash_of_ends(first, last, value.size());
        std::size_t slot = hash & mask_;
        while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
        const std::size_t bit = hash >> filter_shift_;
        filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
        slots_[slot] = static_cast<std::int32_t>(entries_.size());
        entries_.push_back({first, last, value.size(), bytes_.size()});
        bytes_.append(value);
        const std::size_t told = std::min(value.size(), kLengthsTold);
        if (lengths_.size() <= told) lengths_.resize(told + 1, false);
        lengths_[told] = true;
    }
    if (entries_.size() > 1 && entries_.size() <= kFew) spread_few();
    // Of longer strings more than their ends would have to be told; a single one is looked at again.
    const bool told =
        std::all_of(entries_.begin(), entries_.end(), [](const Entry& one) { return one.length <= kTold; });
    if (entries_.size() > kEndsMax || (entries_.size() > 1 && !told)) return;
    for (const Entry& entry : entries_) {
        const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(entry.length, 0xFFFFFFFF));
        few_ends_.push_back({entry.first, StringRows::mask_of(entry.length), entry.last,
                             StringRows::only_if(entry.length > 8), length, 0});
    }
}

// Looks for a factor that sends each entry to a slot of its own. There may be none if two strings longer than 16 bytes
// agree in length and both ends: then the general way is taken.
void StringSet::spread_few() {
    const std::size_t slots =
        std::bit_ceil(entries_.size() * entries_.size());  // then one factor in two or three will do
    few_shift_ = 64 - std::countr_zero(slots);
    std::uint64_t factor = 0x9E3779B97F4A7C15U;
    for (std::size_t attempt = 0; attempt < kFewTries; ++attempt, factor += 0x5851F42D4C957F2EU) {
        few_.assign(slots, {0, 0, kNowhere, 0});
        const bool apart = std::all_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            Entry& slot = few_[few_slot(factor, few_shift_, entry.first, entry.last, entry.length)];
            const bool free = slot.length == kNowhere;
            slot = entry;
            return free;
        });
        few_factor_ = factor;
        if (apart) return;
    }
    few_.clear();
}

bool StringSet::contains(const std::byte* at, std::size_t length, std::uint64_t first, std::uint64_t last) const {
    for (std::size_t slot = hash_of_ends(first, last, length) & mask_; slots_[slot] >= 0; slot = (slot + 1) & mask_) {
        const Entry& entry = entries_[static_cast<std::size_t>(slots_[slot])];
        if (entry.first != first || entry.last != last || entry.length != length) continue;
        if (length <= kTold || std::memcmp(bytes_.data() + entry.rest, at, length) == 0) return true;
    }
    return false;
}

// Its length is known: so is what to read of a string that could be it.
void StringSet::match_one(const StringRows& strings, std::span<const std::byte> offsets, bool wide, std::size_t rows,
                          std::span<std::uint8_t> bits) const {
    const Entry wanted = entries_[0];
    const std::uint64_t mask = StringRows::mask_of(wanted.length);
    const auto ends = strings.easy();
    const auto told = [&](std::size_t start, std::size_t length) {
        return length == wanted.length && strings.first_word(start, length) == wanted.first &&
               strings.last_word(start, length) == wanted.last;
    };
    if (wanted.length <= kTold) {
        const std::size_t tail = wanted.length > 8 ? wanted.length - 8 : 0;
        const std::uint64_t last = wanted.length > 8 ? wanted.last : wanted.first;
        return strings.each(
            few_ends_, offsets, wide, rows, bits, told,
            [=](std::size_t start, std::size_t) { return ends.holds(start); },
            [=](std::size_t start, std::size_t length) {
                return (((ends.word(start) & mask) ^ wanted.first) | ((ends.word(start + tail) & mask) ^ last) |
                        (length ^ wanted.length)) == 0;
            });
    }
    const auto never = [](std::size_t, std::size_t) { return false; };
    strings.each(few_ends_, offsets, wide, rows, bits, told, never, told);
    for (std::size_t row = 0; row < rows; ++row) {  // of those whose ends are right
        if (row % 8 == 0 && bits[row / 8] == 0) {
            row += 7;
        } else if ((bits[row / 8] >> row % 8 & 1) != 0 &&
                   std::memcmp(bytes_.data() + wanted.rest, strings.at(string_offset(offsets, wide, row)),
                               wanted.length) != 0) {
            bits[row / 8] = static_cast<std::uint8_t>(bits[row / 8] ^ 1U << row % 8);
        }
    }
}

void StringSet::match_few(const StringRows& strings, std::span<const std::byte> offsets, bool wide, std::size_t rows,
                          std::span<std::uint8_t> bits) const {
    const auto slot_of = [few = few_.data(), factor = few_factor_, shift = few_shift_](
                             std::uint64_t first, std::uint64_t last, std::size_t length) -> const Entry& {
        return few[few_slot(factor, shift, first, last, length)];
    };
    const auto ends = strings.easy();
    const auto easy = [=](std::size_t start, std::size_t length) { return length <= kTold && ends.holds(start); };
    strings.each(
        few_ends_, offsets, wide, rows, bits,
        [&](std::size_t start, std::size_t length) {
            const std::uint64_t first = strings.first_word(start, length);
            const std::uint64_t last = strings.last_word(start, length);
            const Entry& entry = slot_of(first, last, length);
            return entry.length == length && entry.first == first && entry.last == last &&
                   (length <= kTold || std::memcmp(bytes_.data() + entry.rest, strings.at(start), length) == 0);
        },
        easy,
        [=](std::size_t start, std::size_t length) {
            const std::uint64_t first = ends.word(start) & kEndMasks[length].first;
            const std::uint64_t last = ends.word(start + length - 8) & kEndMasks[length].last;
            const Entry& entry = slot_of(first, last, length);
            return ((entry.first ^ first) | (entry.last ^ last) | (entry.length ^ length)) == 0;
        });
}

void StringSet::match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data, std::size_t rows,
                      std::span<std::uint8_t> bits) const {
    const StringRows strings(data);
    if (entries_.size() == 1) return match_one(strings, offsets, wide, rows, bits);
    if (!few_.empty()) return match_few(strings, offsets, wide, rows, bits);
    const auto ends = strings.easy();
    const auto easy = [=](std::size_t start, std::size_t length) { return length <= kTold && ends.holds(start); };
    strings.each(
        offsets, wide, rows, bits,
        [&](std::size_t start, std::size_t length) {
            const std::size_t told = std::min(length, kLengthsTold);
            if (told >= lengths_.size() || !lengths_[told]) return false;
            const std::uint64_t first = strings.first_word(start, length);
            const std::uint64_t last = strings.last_word(start, length);
            const std::size_t hash = hash_of_ends(first, last, length);
            return may_contain(hash) && contains(strings.at(start), length, first, last);
        },
        easy,
        [&](std::size_t start, std::size_t length) {
            const std::uint64_t first = ends.word(start) & kEndMasks[length].first;
            const std::uint64_t last = ends.word(start + length - 8) & kEndMasks[length].last;
            return may_contain(hash_of_ends(first, last, length)) && contains(strings.at(start), length, first, last);
        });
}

}  // namespace nearrow
