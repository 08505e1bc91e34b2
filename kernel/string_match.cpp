#include "string_match.h"

#include <algorithm>
#include <bit>

#include "string_rows.h"

namespace nearrow {
namespace {

constexpr std::size_t kFew = 24;            // so few strings get a table of their own, without collisions
constexpr std::size_t kFewTries = 1000;     // factors tried until no two collide
constexpr std::size_t kSlotsPerValue = 8;   // mostly empty, so that the branch for "not there" is predicted
constexpr std::size_t kLengthsTold = 4096;  // longer strings are all taken to be possible

std::size_t few_slot(std::uint64_t factor, int shift, std::uint64_t first, std::uint64_t last, std::size_t length) {
    return static_cast<std::size_t>(((first ^ std::rotl(last, 29)) + length) * factor >> shift);
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
        const StringRows one({reinterpret_cast<const std::byte*>(value.data()), value.size()});
        const std::uint64_t first = one.first_word(0, value.size());
        const std::uint64_t last = one.last_word(0, value.size());
        const auto* at = reinterpret_cast<const std::byte*>(value.data());
        if (contains(at, value.size(), first, last)) continue;
        std::size_t slot = hash_of_ends(first, last, value.size()) & mask_;
        while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<std::int32_t>(entries_.size());
        entries_.push_back({first, last, value.size(), bytes_.size()});
        bytes_.append(value);
        const std::size_t told = std::min(value.size(), kLengthsTold);
        if (lengths_.size() <= told) lengths_.resize(told + 1, false);
        lengths_[told] = true;
    }
    if (entries_.size() > 1 && entries_.size() <= kFew) spread_few();
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
        if (length <= 16 || std::memcmp(bytes_.data() + entry.rest, at, length) == 0) return true;
    }
    return false;
}

void StringSet::match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data, std::size_t rows,
                      std::span<std::uint8_t> bits) const {
    const StringRows strings(data);
    if (entries_.size() == 1) {  // its length is known: so is what to read of a string that could be it
        const Entry& wanted = entries_[0];
        const std::uint64_t mask = StringRows::mask_of(wanted.length);
        const std::size_t tail = wanted.length > 8 ? wanted.length - 8 : 0;
        const std::uint64_t last = wanted.length > 8 ? wanted.last : wanted.first;
        const auto alike = [&](std::size_t start, std::size_t length) {
            const bool fits = length == wanted.length;
            const std::uint64_t choice = StringRows::only_if(fits);
            return fits & (strings.masked_word(start & choice, mask) == wanted.first) &
                   (strings.masked_word((start + tail) & choice, mask) == last);
        };
        if (wanted.length <= 16) return strings.each(offsets, wide, rows, bits, alike);
        return strings.each(offsets, wide, rows, bits, [&](std::size_t start, std::size_t length) {
            return alike(start, length) &&
                   std::memcmp(bytes_.data() + wanted.rest, strings.at(start), wanted.length) == 0;
        });
    }
    if (!few_.empty()) {
        const auto at_slot = [&](std::size_t start, std::size_t length, const Entry*& entry) {
            const std::uint64_t first = strings.first_word(start, length);
            const std::uint64_t tail = strings.last_word(start, length);
            entry = &few_[few_slot(few_factor_, few_shift_, first, tail, length)];
            return (entry->length == length) & (entry->first == first) & (entry->last == tail);
        };
        const Entry* entry = nullptr;
        if (lengths_.size() <= 17) {  // both ends tell all of a string that is not longer than 16 bytes
            return strings.each(offsets, wide, rows, bits,
                                [&](std::size_t start, std::size_t length) { return at_slot(start, length, entry); });
        }
        return strings.each(offsets, wide, rows, bits, [&](std::size_t start, std::size_t length) {
            return at_slot(start, length, entry) &&
                   (length <= 16 || std::memcmp(bytes_.data() + entry->rest, strings.at(start), length) == 0);
        });
    }
    strings.each(offsets, wide, rows, bits, [&](std::size_t start, std::size_t length) {
        const std::size_t told = std::min(length, kLengthsTold);
        if (told >= lengths_.size() || !lengths_[told]) return false;
        return contains(strings.at(start), length, strings.first_word(start, length), strings.last_word(start, length));
    });
}

}  // namespace nearrow
