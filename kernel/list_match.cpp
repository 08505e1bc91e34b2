#include "list_match.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "column_loops.h"

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

// The bits below each place of a word.
constexpr std::array<std::uint64_t, 64> kBelow = [] {
    std::array<std::uint64_t, 64> masks{};
    for (std::size_t place = 0; place < masks.size(); ++place) masks[place] = (std::uint64_t{1} << place) - 1;
    return masks;
}();

// The bits of eight lists that lie one after the other in one word of marks; false if they do not.
template <class Offset, bool kEvery>
bool match_eight(const std::byte* offsets, std::span<const std::uint8_t> marks, std::uint64_t first, std::uint64_t easy,
                 std::uint8_t* bits) {
    Offset places[9];
    std::memcpy(places, offsets, sizeof places);
    const std::uint64_t begin = places[0] - first;
    const std::uint64_t total = static_cast<Offset>(places[8] - places[0]);
    if (begin >= easy || total >= kAtOnce || begin + total > easy) return false;
    std::uint64_t word;
    std::memcpy(&word, marks.data() + begin / 8, sizeof word);
    word >>= begin % 8;
    if (kEvery) word = ~word;
    unsigned byte = 0;
    std::uint64_t before = 0;
    Offset lengths = 0;
    for (int i = 1; i <= 8; ++i) {
        lengths |= static_cast<Offset>(places[i] - places[i - 1]);
        const std::uint64_t below = word & kBelow[static_cast<Offset>(places[i] - places[0]) % kBelow.size()];
        byte |= static_cast<unsigned>(below != before) << (i - 1);
        before = below;
    }
    *bits = static_cast<std::uint8_t>(kEvery ? ~byte : byte);
    return lengths < kBelow.size();  // so that all of them are in order, for their sum is small
}

template <class Offset, bool kEvery>
void match(const std::byte* offsets, std::size_t rows, std::span<const std::uint8_t> marks, std::uint64_t first,
           std::uint64_t elements, std::uint8_t* bits) {
    // Lists of fewer than kAtOnce elements that end before this are told by one word.
    const std::uint64_t easy = marks.size() >= 8 ? std::min<std::uint64_t>(elements, 8 * (marks.size() - 8)) : 0;
    Offset before;
    std::memcpy(&before, offsets, sizeof before);
    const ColumnLoops* loops = sizeof(Offset) == 4 ? column_loops() : nullptr;
    for (std::size_t base = 0; base < rows; base += 8) {
        if (loops != nullptr) {
            base = loops->match_lists(offsets, base, rows, marks.data(), first, easy, kEvery, bits);
            if (base >= rows) return;
            std::memcpy(&before, offsets + base * sizeof before, sizeof before);
        }
        const std::size_t last = std::min(rows, base + 8);
        if (base + 8 <= rows &&
            match_eight<Offset, kEvery>(offsets + base * sizeof before, marks, first, easy, bits + (base >> 3))) {
            std::memcpy(&before, offsets + last * sizeof before, sizeof before);
            continue;
        }
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

template <class Offset>
bool in_order(const std::byte* offsets, std::size_t count) {
    constexpr std::size_t kSlice = 1024;
    Offset last = 0;
    for (std::size_t first = 0; first < count; first += kSlice) {
        Offset slice[kSlice + 1];
        const std::size_t size = std::min(kSlice, count - first);
        slice[0] = last;
        std::memcpy(slice + 1, offsets + first * sizeof last, size * sizeof last);
        int wrong = 0;  // no way out in between, so that many are compared at once
        for (std::size_t i = 0; i < size; ++i) wrong |= slice[i] > slice[i + 1] ? 1 : 0;
        if (wrong != 0) return false;
        last = slice[size];
    }
    return true;
}

}  // namespace

bool in_order(std::span<const std::byte> offsets, bool wide) {
    if (wide) return in_order<std::int64_t>(offsets.data(), offsets.size() / 8);
    const std::size_t count = offsets.size() / 4;
    const ColumnLoops* loops = column_loops();
    const std::size_t known = loops != nullptr && count > 0 && in_order<std::int32_t>(offsets.data(), 1)
                                  ? loops->in_order(offsets.data(), count)
                                  : 0;
    return in_order<std::int32_t>(offsets.data() + 4 * known, count - known);
}

void match_lists(std::span<const std::byte> offsets, bool wide, std::size_t rows, std::span<const std::uint8_t> marks,
                 std::uint64_t first, std::uint64_t elements, bool every, std::span<std::uint8_t> bits) {
    const auto known = marks.first(std::min<std::size_t>(marks.size(), (elements + 7) / 8));
    wide ? match<std::uint64_t>(offsets.data(), rows, known, first, elements, every, bits.data())
         : match<std::uint32_t>(offsets.data(), rows, known, first, elements, every, bits.data());
}

}  // namespace nearrow
