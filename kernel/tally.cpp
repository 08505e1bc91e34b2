#include "tally.h"

#include <algorithm>
#include <vector>

#include "flat_scan.h"

namespace nearrow {
namespace {

constexpr std::size_t kSides = 4;  // tables counted into in turn: the same number twice does not wait for itself
constexpr std::size_t kSidesMax = 1 << 14;  // numbers up to which they stay in the cache

}  // namespace

template <class Number>
bool tally(std::span<const Number> numbers, std::span<const std::int32_t> starts, const std::uint8_t* wanted,
           std::size_t rows, std::span<std::int64_t> counts) {
    const std::size_t distinct = counts.size();
    const std::size_t sides = distinct <= kSidesMax ? kSides : 1;
    // Each with one more for what lies outside, or, of bytes, with all that there can be.
    const std::size_t width = sizeof(Number) == 1 ? std::max<std::size_t>(distinct + 1, 256) : distinct + 1;
    std::vector<std::uint32_t> tables(sides * width, 0);
    const auto add = [&, table = tables.data()](std::size_t at, std::size_t side) {
        const auto number = static_cast<std::uint32_t>(numbers[at]);
        ++table[side * width + (sizeof(Number) == 1 ? number : std::min<std::size_t>(number, distinct))];
    };
    bool sound = true;
    const auto count_row = [&](std::int64_t row) {
        const auto at = static_cast<std::size_t>(row);
        if (starts.empty()) return add(at, at % sides);
        const std::int32_t begin = starts[at];
        const std::int32_t end = starts[at + 1];
        const bool inside = begin >= 0 && begin <= end && static_cast<std::size_t>(end) <= numbers.size();
        sound &= inside;
        for (std::int32_t i = begin; inside && i < end; ++i)
            add(static_cast<std::size_t>(i), static_cast<std::size_t>(i) % sides);
    };
    const bool all =
        starts.empty() || (starts.front() == 0 && static_cast<std::size_t>(starts.back()) == numbers.size());
    if (wanted == nullptr && all) {  // in whichever row: each number is counted
        std::size_t at = 0;
        for (; sides == kSides && at + kSides <= numbers.size(); at += kSides) {
            for (std::size_t side = 0; side < kSides; ++side) add(at + side, side);
        }
        for (; at < numbers.size(); ++at) add(at, 0);
        rows = 0;
    }
    each_accepted(static_cast<std::int64_t>(rows), {wanted, 0}, count_row);
    for (std::size_t side = 0; side < sides; ++side) {
        const std::uint32_t* table = tables.data() + side * width;
        for (std::size_t number = 0; number < distinct; ++number) counts[number] += table[number];
        sound &= std::all_of(table + distinct, table + width, [](std::uint32_t count) { return count == 0; });
    }
    return sound;
}

template bool tally<std::uint8_t>(std::span<const std::uint8_t>, std::span<const std::int32_t>, const std::uint8_t*,
                                  std::size_t, std::span<std::int64_t>);
template bool tally<std::int32_t>(std::span<const std::int32_t>, std::span<const std::int32_t>, const std::uint8_t*,
                                  std::size_t, std::span<std::int64_t>);

}  // namespace nearrow
