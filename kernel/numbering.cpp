#include "numbering.h"

#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "flat_scan.h"
#include "string_rows.h"

namespace nearrow {
namespace {

constexpr std::size_t kSlotsPerValue = 8;  // mostly empty, so that the branch for "another one" is predicted
constexpr std::size_t kSlotsMin = 256;

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
    : limit_(std::min<std::size_t>(limit, 0x7FFFFFFE)), slots_(kSlotsMin, -1), mask_(kSlotsMin - 1) {}

void StringNumbers::grow() {
    const std::size_t slots = 2 * slots_.size();
    slots_.assign(slots, -1);
    mask_ = slots - 1;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        std::size_t slot = hash_of_ends(entries_[i].first, entries_[i].last, entries_[i].length) & mask_;
        while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
        slots_[slot] = static_cast<std::int32_t>(i);
    }
}

bool StringNumbers::number(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                           std::span<const std::byte> valid, std::size_t valid_offset, std::size_t rows,
                           std::int32_t* numbers) {
    const StringRows strings(data);
    const auto number_of = [&](std::size_t start, std::size_t length) -> std::int32_t {
        const std::uint64_t first = strings.first_word(start, length);
        const std::uint64_t last = strings.last_word(start, length);
        std::size_t slot = hash_of_ends(first, last, length) & mask_;
        for (; slots_[slot] >= 0; slot = (slot + 1) & mask_) {
            const auto at = static_cast<std::size_t>(slots_[slot]);
            const Entry& entry = entries_[at];
            if (entry.first != first || entry.last != last || entry.length != length) continue;
            if (length <= 16 || std::memcmp(bytes_.data() + starts_[at], strings.at(start), length) == 0)
                return slots_[slot] + 1;
        }
        if (entries_.size() >= limit_) return -1;
        slots_[slot] = static_cast<std::int32_t>(entries_.size());
        entries_.push_back({first, last, length});
        bytes_.append(reinterpret_cast<const char*>(strings.at(start)), length);
        starts_.push_back(static_cast<std::int64_t>(bytes_.size()));
        if (kSlotsPerValue * entries_.size() > slots_.size()) grow();
        return static_cast<std::int32_t>(entries_.size());
    };
    const auto is_null = [&](std::size_t row) {
        const std::size_t bit = valid_offset + row;
        return !valid.empty() && ((static_cast<unsigned>(valid[bit >> 3]) >> (bit & 7)) & 1) == 0;
    };
    std::size_t before = string_offset(offsets, wide, 0);
    for (std::size_t row = 0; row < rows; ++row) {
        const std::size_t start = before;
        const std::size_t end = string_offset(offsets, wide, row + 1);
        before = end;
        numbers[row] = 0;
        if (start > end || end > strings.size() || is_null(row)) continue;
        numbers[row] = number_of(start, end - start);
        if (numbers[row] < 0) return false;
    }
    return true;
}

std::int64_t once_each(std::span<const std::int32_t> numbers, std::span<const std::int64_t> places,
                       std::size_t distinct, std::int32_t* kept, std::int32_t* starts) {
    std::vector<std::uint32_t> seen(distinct, 0);  // 1 + the row in which each was seen last
    std::int64_t written = 0;
    starts[0] = 0;
    for (std::size_t row = 0; row + 1 < places.size(); ++row) {
        const std::int64_t begin = places[row];
        const std::int64_t end = places[row + 1];
        if (begin < 0 || begin > end || static_cast<std::size_t>(end) > numbers.size()) return -1;
        // Rows that repeat places of others could ask for more room than there is.
        if (written + (end - begin) > static_cast<std::int64_t>(numbers.size())) return -1;
        const auto now = static_cast<std::uint32_t>(row + 1);
        for (std::int64_t at = begin; at < end; ++at) {
            const std::int32_t number = numbers[static_cast<std::size_t>(at)];
            if (static_cast<std::uint32_t>(number) >= distinct) return -1;
            std::uint32_t& last = seen[static_cast<std::size_t>(number)];
            kept[written] = number;
            written += last != now ? 1 : 0;
            last = now;
        }
        starts[row + 1] = static_cast<std::int32_t>(written);
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

bool rows_of_marked(std::span<const std::uint8_t> bits, std::span<const std::int32_t> starts, std::uint8_t* rows) {
    const std::size_t count = starts.size() - 1;
    std::fill(rows, rows + (count + 7) / 8, std::uint8_t{0});
    const auto elements = static_cast<std::int64_t>(bits.size()) * 8;
    const auto start = [&](std::size_t row) { return static_cast<std::int64_t>(starts[row]); };
    std::size_t row = 0;
    std::int64_t place = count == 0 ? -1 : next_accepted({bits.data(), elements}, 0, elements);
    while (place >= 0) {
        // The last row that begins at or before the place: gallop, then halve.
        std::size_t step = 1;
        while (row + step < count && start(row + step) <= place) {
            row += step;
            step *= 2;
        }
        for (; step > 0; step /= 2) {
            if (row + step < count && start(row + step) <= place) row += step;
        }
        const std::int64_t end = start(row + 1);
        if (start(row) > place || end <= place) return false;
        rows[row >> 3] = static_cast<std::uint8_t>(rows[row >> 3] | 1U << (row & 7));
        place = next_accepted({bits.data(), elements}, end, elements);
    }
    return true;
}

template void marked<std::uint8_t>(std::span<const std::uint8_t>, std::span<const std::uint8_t>, std::uint8_t*);
template void marked<std::int32_t>(std::span<const std::int32_t>, std::span<const std::uint8_t>, std::uint8_t*);

}  // namespace nearrow
