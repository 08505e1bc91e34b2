// String pattern: which strings of an Arrow column begin with a text, end with it, or have it in them?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nearrow {

enum class Place : int { begin = 0, end = 1, anywhere = 2 };

class StringPattern {
  public:
    StringPattern(std::string_view text, Place place) : text_(text), place_(place) {}

    // As StringSet::match.
    void match(std::span<const std::byte> offsets, bool wide, std::span<const std::byte> data, std::size_t rows,
               std::span<std::uint8_t> bits) const;

  private:
    template <class Offset>
    void find(const std::byte* offsets, std::span<const std::byte> data, std::size_t rows, std::uint8_t* bits) const;

    std::string text_;
    Place place_;
};

}  // namespace nearrow
