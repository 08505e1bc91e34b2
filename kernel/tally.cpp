#include "tally.h"

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
    std::vector<std::uint32_t> tables(sides * (distinct + 1), 0);  // each with one for what lies outside
    const auto add = [&](std::size_t at) {
        const auto number = static_cast<std::uint32_t>(numbers[at]);
        ++tables[at % sides * (distinct + 1) + (number < distinct ? number : distinct)];
    };
    bool sound = true;
    const auto count_row = [&](std::int64_t row) {
        const auto at = static_cast<std::size_t>(row);
        if (starts.empty()) return add(at);
        const std::int32_t begin = starts[at];
        const std::int32_t end = starts[at + 1];
        const bool inside = begin >= 0 && begin <= end && static_cast<std::size_t>(end) <= numbers.size();
        sound &= inside;
        for (std::int32_t i = begin; inside && i < end; ++i) add(static_cast<std::size_t>(i));
    };
    each_accepted(static_cast<std::int64_t>(rows), {wanted, 0}, count_row);
    for (std::size_t side = 0; side < sides; ++side) {
        const std::uint32_t* table = tables.data() + side * (distinct + 1);
        for (std::size_t number = 0; number < distinct; ++number) counts[number] += table[number];
        sound &= table[distinct] == 0;
    }
    return sound;
}

template bool tally<std::uint8_t>(std::span<const std::uint8_t>, std::span<const std::int32_t>, const std::uint8_t*,
                                  std::size_t, std::span<std::int64_t>);
template bool tally<std::int32_t>(std::span<const std::int32_t>, std::span<const std::int32_t>, const std::uint8_t*,
                                  std::size_t, std::span<std::int64_t>);

}  // namespace nearrow
