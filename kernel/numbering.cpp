#include "numbering.h"

#include <algorithm>
#include <cstring>
#include <limits>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "string_rows.h"

namespace nearrow {
namespace {

constexpr std::size_t kSlotsPerValue = 8;  // mostly empty, so that the branch for "another one" is predicted
constexpr std::size_t kSlotsMin = 256;

// One multiplication: what it makes of the highest bits depends on all others.
inline std::size_t slot_of(std::uint64_t first, std::uint64_t last, std::size_t length, int shift) {
    return static_cast<std::size_t>(
        (first ^ std::rotl(last, 29) ^ (std::uint64_t{length} << 3)) * 0x9E3779B97F4A7C15U >> shift);
}

// Where few numbers are marked, all numbers are compared with each of them, 16 at once. Returns how many were done.
std::size_t marked_few(std::span<const std::uint8_t> numbers, std::span<const std::uint8_t> marks, std::uint8_t* bits) {
    std::size_t at = 0;
#if defined(__SSE2__)
    constexpr std::size_t kFewMarked = 6;
    __m128i wanted[kFewMarked];
    std::size_t count = 0;
    for (std::size_t number = 0; number < std::min<std::size_t>(marks.size(), 256); ++number) {
        if (marks[number] == 0) continue;
        if (count == kFewMarked) return 0;
        wanted[count++] = _mm_set1_epi8(static_cast<char>(number));
    }
    for (; at + 16 <= numbers.size(); at += 16) {
        const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers.data() + at));
        __m128i any = _mm_setzero_si128();
        for (std::size_t i = 0; i < count; ++i) any = _mm_or_si128(any, _mm_cmpeq_epi8(here, wanted[i]));
        const auto mask = static_cast<std::uint16_t>(_mm_movemask_epi8(any));
        std::memcpy(bits + at / 8, &mask, sizeof mask);
    }
#else
    static_cast<void>(numbers);
    static_cast<void>(marks);
    static_cast<void>(bits);
#endif
    return at;
}

}  // namespace

StringNumbers::StringNumbers(std::size_t limit)
    : limit_(std::min<std::size_t>(limit, 0x7FFFFFFE)),
      loops_(column_loops()),
      slots_(kSlotsMin, -1),
      shift_(64 - std::countr_zero(kSlotsMin)) {
    if (loops_ == nullptr) return;
    short_ = std::make_unique<ShortNumbers>();
    std::fill_n(short_->keys[0], kShortKey, std::uint8_t{0xFF});
}

void StringNumbers::grow() {
    const std::size_t slots = 2 * slots_.size();
    slots_.assign(slots, -1);
    --shift_;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        std::size_t slot = slot_of(entries_[i].first, entries_[i].last, entries_[i].length, shift_);
        while (slots_[slot] >= 0) slot = (slot + 1) % slots_.size();
        slots_[slot] = static_cast<std::int32_t>(i);
    }
}

// The number of a string; -1, and the slot that is free for it, if it has none.
std::int32_t StringNumbers::find(const std::byte* at, const Entry& entry, std::size_t& slot) const {
    slot = slot_of(entry.first, entry.last, entry.length, shift_);
    for (; slots_[slot] >= 0; slot = (slot + 1) % slots_.size()) {
        const auto place = static_cast<std::size_t>(slots_[slot]);
        const Entry& other = entries_[place];
        if (entry.first != other.first || entry.last != other.last || entry.length != other.length) continue;
        if (entry.length <= kTold || std::memcmp(bytes_.data() + starts_[place], at, entry.length) == 0)
            return slots_[slot] + 1;
    }
    return -1;
}

// The number of a string, which gets one if it has none; -1 if that would exceed `most`.
std::int32_t StringNumbers::find_or_add(const std::byte* at, const Entry& entry, std::size_t most) {
    std::size_t slot;
    const std::int32_t known = find(at, entry, slot);
    if (known >= 0) return known;
    if (entries_.size() >= most) return -1;
    slots_[slot] = static_cast<std::int32_t>(entries_.size());
    entries_.push_back(entry);
    bytes_.append(reinterpret_cast<const char*>(at), entry.length);
    starts_.push_back(static_cast<std::int64_t>(bytes_.size()));
    if (short_ != nullptr && entry.length < kShortKey && entries_.size() <= 255) know_short(entry.length, at);
    if (kSlotsPerValue * entries_.size() > slots_.size()) grow();
    return static_cast<std::int32_t>(entries_.size());
}

// other(at, entry): the number of a string that its slot does not tell, or -1; it may add to what has numbers.
template <class Offset, class Number, class Other>
std::size_t StringNumbers::number_rows(const Column& column, const StringRows& strings, std::size_t first,
                                       std::size_t rows, Number* numbers, const Other& other) const {
    const auto is_null = [&](std::size_t row) {
        const std::size_t bit = column.valid_offset + row;
        return ((static_cast<unsigned>(column.valid[bit >> 3]) >> (bit & 7)) & 1) == 0;
    };
    const std::byte* offsets = column.offsets.data();
    const auto offset = [&](std::size_t row) {
        Offset value;
        std::memcpy(&value, offsets + row * sizeof value, sizeof value);
        return static_cast<std::size_t>(value);
    };
    const bool nulls = !column.valid.empty();
    // Of its own, for what a byte is stored into might be anything else.
    const StringRows::Easy easy = strings.easy();
    const std::int32_t* slots = slots_.data();
    const Entry* entries = entries_.data();
    int shift = shift_;
    std::size_t before = offset(first);
    for (std::size_t row = first; row < rows; ++row) {
        const std::size_t start = before;
        const std::size_t end = offset(row + 1);
        const std::size_t length = end - start;
        before = end;
        if (length <= kTold && easy.holds(start)) [[likely]] {
            const Entry entry{easy.word(start) & kEndMasks[length].first, easy.word(end - 8) & kEndMasks[length].last,
                              length};
            const std::int32_t at = slots[slot_of(entry.first, entry.last, length, shift)];
            if (at >= 0) [[likely]] {
                const Entry& known = entries[at];
                const std::uint64_t differ =
                    (entry.first ^ known.first) | (entry.last ^ known.last) | (length ^ known.length);
                if (differ == 0) [[likely]] {
                    numbers[row] = static_cast<Number>(nulls && is_null(row) ? 0 : at + 1);
                    continue;
                }
            }
        }
        numbers[row] = 0;
        if (start > end || end > strings.size() || (nulls && is_null(row))) continue;
        const Entry entry{strings.first_word(start, length), strings.last_word(start, length), length};
        const std::int32_t number = other(strings.at(start), entry);
        if (number < 0) return row;
        numbers[row] = static_cast<Number>(number);
        slots = slots_.data();
        entries = entries_.data();
        shift = shift_;
    }
    return rows;
}

// Takes the newest string into the table of short ones, unless its slot is taken: then it is looked up as others are.
void StringNumbers::know_short(std::size_t length, const std::byte* at) {
    const std::size_t number = entries_.size();
    std::uint8_t* key = short_->keys[number];
    if (length > 0) std::memcpy(key, at, length);
    key[kShortKey - 1] = static_cast<std::uint8_t>(length);
    std::uint8_t& slot = short_->slots[loops_->short_slot(key)];
    if (slot == 0) slot = static_cast<std::uint8_t>(number);
}

// Numbers short strings that are known by column_loops(), and the others in between one after the other.
template <class Other>
std::size_t StringNumbers::number_short(const Column& column, const StringRows& strings, std::size_t first,
                                        std::size_t rows, std::uint8_t* numbers, const Other& other) const {
    std::size_t others = 1;
    std::size_t done = first;
    for (std::size_t row = first; row < rows && done == row;) {
        const std::size_t known =
            loops_->short_numbers(column.offsets.data(), strings.at(0), strings.size(), row, rows, *short_, numbers);
        others = known - row < kGroup ? std::min<std::size_t>(2 * others, 4096) : 1;  // if hardly any is short
        row = std::min(rows, known + others);
        done = number_rows<std::uint32_t>(column, strings, known, row, numbers, other);
    }
    for (std::size_t row = first; row < done && !column.valid.empty(); ++row) {
        const std::size_t bit = column.valid_offset + row;
        const auto valid = static_cast<unsigned>(column.valid[bit >> 3]);
        if (bit % 8 == 0 && valid == 255 && row + 8 <= done) {
            row += 7;
        } else {
            numbers[row] = static_cast<std::uint8_t>(numbers[row] * (valid >> (bit & 7) & 1));
        }
    }
    return done;
}

template <class Number, class Other>
std::size_t StringNumbers::number_column(const Column& column, bool wide, const StringRows& strings, std::size_t first,
                                         std::size_t rows, Number* numbers, const Other& other) const {
    if constexpr (sizeof(Number) == 1) {
        if (loops_ != nullptr && !wide) return number_short(column, strings, first, rows, numbers, other);
    }
    return wide ? number_rows<std::uint64_t>(column, strings, first, rows, numbers, other)
                : number_rows<std::uint32_t>(column, strings, first, rows, numbers, other);
}

template <class Number>
std::size_t StringNumbers::number(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                                  std::span<const std::byte> valid, std::size_t valid_offset, std::size_t first,
                                  std::size_t rows, Number* numbers) {
    const std::size_t most = std::min<std::size_t>(limit_, std::numeric_limits<Number>::max());
    return number_column({offsets, valid, valid_offset}, wide, StringRows(data), first, rows, numbers,
                         [&](const std::byte* at, const Entry& entry) { return find_or_add(at, entry, most); });
}

std::size_t StringNumbers::number_known(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                                        std::span<const std::byte> valid, std::size_t valid_offset, std::size_t first,
                                        std::size_t rows, std::uint8_t* numbers) const {
    std::size_t slot;
    return number_column({offsets, valid, valid_offset}, wide, StringRows(data), first, rows, numbers,
                         [&](const std::byte* at, const Entry& entry) { return find(at, entry, slot); });
}

template <class Number>
std::int64_t once_each(std::span<const Number> numbers, std::span<const std::int64_t> places, std::size_t distinct,
                       Number* kept, std::int32_t* starts) {
    const std::size_t size = numbers.size();
    const std::size_t rows = places.size() - 1;
    bool sound = places[0] >= 0 && places[rows] <= static_cast<std::int64_t>(size);
    std::vector<std::uint8_t> begins(size + 1, 0);  // whether an element is the first of its row
    for (std::size_t row = 0; row < rows; ++row) {
        sound &= places[row] <= places[row + 1];
        begins[std::min<std::size_t>(static_cast<std::size_t>(places[row]), size)] = 1;
    }
    if (!sound) return -1;
    // No branch depends on the data: how long a row is and what it repeats cannot be predicted.
    std::vector<std::int64_t> seen(distinct + 1, -1);  // where each number was last
    std::vector<std::int64_t> repeated;                // places of elements that their rows have before them
    std::int64_t written = 0;
    const auto first = static_cast<std::size_t>(places[0]);
    const auto last = static_cast<std::size_t>(places[rows]);
    auto begin = places[0];
    for (std::size_t at = first; at < last; ++at) {
        const auto place = static_cast<std::int64_t>(at);
        const Number number = numbers[at];
        begin = begins[at] != 0 ? place : begin;
        std::int64_t& before = seen[std::min<std::size_t>(static_cast<std::uint32_t>(number), distinct)];
        kept[written] = number;
        ++written;
        if (before >= begin) [[unlikely]] {
            --written;
            repeated.push_back(place);
        }
        before = place;
    }
    if (seen[distinct] >= 0) return -1;
    std::size_t left_out = 0;
    for (std::size_t row = 0; row <= rows; ++row) {
        while (left_out < repeated.size() && repeated[left_out] < places[row]) ++left_out;
        starts[row] = static_cast<std::int32_t>(places[row] - places[0] - static_cast<std::int64_t>(left_out));
    }
    return written;
}

template <class Number>
void marked(std::span<const Number> numbers, std::span<const std::uint8_t> marks, std::uint8_t* bits) {
    std::size_t at = 0;
    if constexpr (sizeof(Number) == 1) at = marked_few(numbers, marks, bits);
    // One more for all numbers that have no mark; a byte has no more than 256 of them.
    std::vector<std::uint8_t> table(std::max<std::size_t>(marks.size() + 1, sizeof(Number) == 1 ? 256 : 0), 0);
    std::transform(marks.begin(), marks.end(), table.begin(), [](std::uint8_t mark) { return mark != 0 ? 1 : 0; });
    const std::size_t none = marks.size();
    const auto mark_of = [&](std::size_t i) -> unsigned {
        if constexpr (sizeof(Number) == 1) return table[numbers[i]];
        return table[std::min<std::size_t>(static_cast<std::uint32_t>(numbers[i]), none)];
    };
    for (; at + 8 <= numbers.size(); at += 8) {
        const unsigned low = mark_of(at) | mark_of(at + 1) << 1 | mark_of(at + 2) << 2 | mark_of(at + 3) << 3;
        const unsigned high = mark_of(at + 4) << 4 | mark_of(at + 5) << 5 | mark_of(at + 6) << 6 | mark_of(at + 7) << 7;
        bits[at >> 3] = static_cast<std::uint8_t>(low | high);
    }
    if (at == numbers.size()) return;
    unsigned byte = 0;
    for (std::size_t i = at; i < numbers.size(); ++i) byte |= mark_of(i) << (i - at);
    bits[at >> 3] = static_cast<std::uint8_t>(byte);
}

template std::size_t StringNumbers::number(std::span<const std::byte>, bool, std::span<const std::byte>,
                                           std::span<const std::byte>, std::size_t, std::size_t, std::size_t,
                                           std::uint8_t*);
template std::size_t StringNumbers::number(std::span<const std::byte>, bool, std::span<const std::byte>,
                                           std::span<const std::byte>, std::size_t, std::size_t, std::size_t,
                                           std::int32_t*);
template std::int64_t once_each(std::span<const std::uint8_t>, std::span<const std::int64_t>, std::size_t,
                                std::uint8_t*, std::int32_t*);
template std::int64_t once_each(std::span<const std::int32_t>, std::span<const std::int64_t>, std::size_t,
                                std::int32_t*, std::int32_t*);
template void marked<std::uint8_t>(std::span<const std::uint8_t>, std::span<const std::uint8_t>, std::uint8_t*);
template void marked<std::int32_t>(std::span<const std::int32_t>, std::span<const std::uint8_t>, std::uint8_t*);

}  // namespace nearrow
