#include "string_pattern.h"

#include <algorithm>
#include <bit>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "string_rows.h"

namespace nearrow {
namespace {

// The first place from `from` where `text` lies in the data, or data.size().
// Sixteen places are tried at once by their first and last byte (Mula, "SIMD-friendly algorithms for substring
// search").
std::size_t find_text(std::span<const std::byte> data, std::string_view text, std::size_t from) {
    if (text.size() > data.size()) return data.size();
    const std::size_t places = data.size() - text.size() + 1;
    const auto* bytes = reinterpret_cast<const char*>(data.data());
    std::size_t at = from;
#if defined(__SSE2__)
    const __m128i first = _mm_set1_epi8(text.front());
    const __m128i last = _mm_set1_epi8(text.back());
    for (; at + 16 <= places; at += 16) {
        const __m128i begins = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + at));
        const __m128i ends = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + at + text.size() - 1));
        const __m128i both = _mm_and_si128(_mm_cmpeq_epi8(begins, first), _mm_cmpeq_epi8(ends, last));
        for (auto mask = static_cast<unsigned>(_mm_movemask_epi8(both)); mask != 0; mask &= mask - 1) {
            const std::size_t place = at + static_cast<std::size_t>(std::countr_zero(mask));
            if (std::memcmp(bytes + place, text.data(), text.size()) == 0) return place;
        }
    }
#endif
    for (; at < places; ++at) {
        if (std::memcmp(bytes + at, text.data(), text.size()) == 0) return at;
    }
    return data.size();
}

}  // namespace

void StringPattern::match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data,
                          std::size_t rows, std::span<std::uint8_t> bits) const {
    if (place_ == Place::anywhere && !text_.empty()) {
        std::fill(bits.begin(), bits.end(), std::uint8_t{0});
        if (rows == 0) return;
        return wide ? find<std::uint64_t>(offsets.data(), data, rows, bits.data())
                    : find<std::uint32_t>(offsets.data(), data, rows, bits.data());
    }
    const StringRows strings(data);
    const std::size_t size = text_.size();
    const StringRows wanted({reinterpret_cast<const std::byte*>(text_.data()), size});
    const bool begin = place_ != Place::end;
    const std::uint64_t word = begin ? wanted.first_word(0, size) : wanted.end_word(size, size);
    const bool longer = size > 8;
    const auto shortest = static_cast<std::uint32_t>(size);
    const auto never = [](std::size_t, std::size_t) { return false; };
    if (!begin) {
        const auto ends = [&](std::size_t start, std::size_t length) {
            const bool alike = length >= size && strings.ends_with(start + length, size, word);
            return alike && (!longer || std::memcmp(strings.at(start + length - size), text_.data(), size) == 0);
        };
        if (longer || size == 0) return strings.each(offsets, wide, rows, bits, ends);
        const std::size_t above = 64 - 8 * size;
        const StringEnds wanted_ends{0, 0, word << above, ~std::uint64_t{0} << above, shortest, ~shortest};
        return strings.each({&wanted_ends, 1}, offsets, wide, rows, bits, ends, never, ends);
    }
    const std::uint64_t mask = StringRows::mask_of(size);
    const auto begins = [&](std::size_t start, std::size_t length) {
        const bool fits = length >= size;
        const bool alike = fits & (strings.masked_word(start & StringRows::only_if(fits), mask) == word);
        return alike && (!longer || std::memcmp(strings.at(start), text_.data(), size) == 0);
    };
    if (longer) return strings.each(offsets, wide, rows, bits, begins);
    const StringEnds wanted_ends{word, mask, 0, 0, shortest, ~shortest};
    strings.each({&wanted_ends, 1}, offsets, wide, rows, bits, begins, never, begins);
}

// Looks through the data as if it were one text, and for each place found at whose row it is.
template <class Offset>
void StringPattern::find(const std::byte* offsets, std::span<const std::byte> data, std::size_t rows,
                         std::uint8_t* bits) const {
    const auto offset = [&](std::size_t row) {
        Offset value;
        std::memcpy(&value, offsets + row * sizeof value, sizeof value);
        return static_cast<std::size_t>(value);
    };
    const std::size_t end = std::min(offset(rows), data.size());
    const auto used = data.first(end);
    std::size_t row = 0;
    std::size_t at = offset(0);
    while (at < end) {
        const std::size_t place = find_text(used, text_, at);
        if (place >= end) return;
        // The last row that begins at or before the place: gallop, then halve.
        std::size_t step = 1;
        while (row + step < rows && offset(row + step) <= place) {
            row += step;
            step *= 2;
        }
        for (; step > 0; step /= 2) {
            if (row + step < rows && offset(row + step) <= place) row += step;
        }
        const std::size_t next = offset(row + 1);
        if (offset(row) <= place && place + text_.size() <= next) {
            bits[row >> 3] = static_cast<std::uint8_t>(bits[row >> 3] | 1U << (row & 7));
            at = next;  // farther than `place`: one place in a row is enough
        } else {
            at = place + 1;
        }
    }
}

}  // namespace nearrow
