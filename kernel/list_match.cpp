#include "list_match.h"

#include <algorithm>
#include <cstring>

namespace nearrow {
namespace {

constexpr std::uint64_t kAtOnce = 57;  // bits that eight bytes hold wherever the first one lies

// The marks from `begin`, fewer than kAtOnce of them, in the lowest bits.
std::uint64_t marks_at(std::span<const std::uint8_t> marks, std::uint64_t begin, std::uint64_t count) {
    const std::size_t byte = begin / 8;
    std::uint64_t word = 0;
    if (byte + sizeof word <= marks.size()) {
        std::memcpy(&word, marks.data() + byte, sizeof word);
    } else if (byte < marks.size()) {
        std::memcpy(&word, marks.data() + byte, marks.size() - byte);
    }
    return (word >> (begin % 8)) & ((std::uint64_t{1} << count) - 1);
}

template <class Offset, bool kEvery>
void match(const std::byte* offsets, std::size_t rows, std::span<const std::uint8_t> marks, std::uint64_t first,
           std::uint64_t elements, std::uint8_t* bits) {
    // Lists of fewer than kAtOnce elements that end before this are told by one word.
    const std::uint64_t easy = marks.size() >= 8 ? std::min<std::uint64_t>(elements, 8 * (marks.size() - 8)) : 0;
    Offset before;
    std::memcpy(&before, offsets, sizeof before);
    for (std::size_t base = 0; base < rows; base += 8) {
        const std::size_t last = std::min(rows, base + 8);
        unsigned byte = 0;
        for (std::size_t row = base; row < last; ++row) {
            Offset after;
            std::memcpy(&after, offsets + (row + 1) * sizeof after, sizeof after);
            std::uint64_t begin = before - first;
            std::uint64_t left = static_cast<std::uint64_t>(after) - before;
            before = after;
            if (begin < easy && left < kAtOnce && begin + left <= easy) [[likely]] {
                std::uint64_t word;
                std::memcpy(&word, marks.data() + begin / 8, sizeof word);
                word >>= begin % 8;
                const std::uint64_t all = (std::uint64_t{1} << left) - 1;
                byte |= static_cast<unsigned>(kEvery ? (~word & all) == 0 : (word & all) != 0) << (row - base);
                continue;
            }
            const bool inside = begin <= elements && left <= elements - begin;
            if (!inside) continue;
            bool some = false;
            bool all = true;
            do {
                const std::uint64_t count = std::min(left, kAtOnce - 1);
                const std::uint64_t found = marks_at(marks, begin, count);
                some |= found != 0;
                all &= found == (std::uint64_t{1} << count) - 1;
                begin += count;
                left -= count;
            } while (left > 0);
            byte |= static_cast<unsigned>(kEvery ? all : some) << (row - base);
        }
        bits[base >> 3] = static_cast<std::uint8_t>(byte);
    }
}

template <class Offset>
void match(const std::byte* offsets, std::size_t rows, std::span<const std::uint8_t> marks, std::uint64_t first,
           std::uint64_t elements, bool every, std::uint8_t* bits) {
    every ? match<Offset, true>(offsets, rows, marks, first, elements, bits)
          : match<Offset, false>(offsets, rows, marks, first, elements, bits);
}

}  // namespace

void match_lists(std::span<const std::byte> offsets, bool wide, std::size_t rows, std::span<const std::uint8_t> marks,
                 std::uint64_t first, std::uint64_t elements, bool every, std::span<std::uint8_t> bits) {
    const auto known = marks.first(std::min<std::size_t>(marks.size(), (elements + 7) / 8));
    wide ? match<std::uint64_t>(offsets.data(), rows, known, first, elements, every, bits.data())
         : match<std::uint32_t>(offsets.data(), rows, known, first, elements, every, bits.data());
}

}  // namespace nearrow
