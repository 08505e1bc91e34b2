// Python's view of string matching: convert, release the GIL, call.

#include "../string_match.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/unique_ptr.h>

#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "../string_pattern.h"
#include "arrays.h"
#include "lent.h"
#include "module.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using nearrow::Lent;
using nearrow::Place;
using nearrow::StringPattern;
using nearrow::StringSet;

// The values of an Arrow string array: its offsets, data, and place in them.
std::unique_ptr<StringSet> make_set(nb::handle offsets, nb::handle data, std::size_t offset, std::size_t length) {
    const Lent lent_offsets(offsets);
    const Lent lent_data(data);
    const auto positions = lent_offsets.bytes();
    const auto bytes = lent_data.bytes();
    if (length >= (std::size_t{1} << 30) || offset > (std::size_t{1} << 40) ||
        (offset + length + 1) * 4 > positions.size()) {
        throw std::invalid_argument("the values' offsets are shorter than they should be");
    }
    std::vector<std::string_view> values;
    values.reserve(length);
    for (std::size_t i = offset; i < offset + length; ++i) {
        std::uint32_t ends[2];
        std::memcpy(ends, positions.data() + i * 4, sizeof ends);
        if (ends[0] > ends[1] || ends[1] > bytes.size())
            throw std::invalid_argument("a value lies outside of its data");
        values.emplace_back(reinterpret_cast<const char*>(bytes.data()) + ends[0], ends[1] - ends[0]);
    }
    return std::make_unique<StringSet>(values);
}

// Of a set or a pattern: a bit for each row.
template <class Wanted>
nb::object match(const Wanted& wanted, nb::handle offsets, nb::handle data, std::size_t offset, std::size_t length,
                 bool wide) {
    const Lent lent_offsets(offsets);
    const Lent lent_data(data);
    const auto positions = nearrow::offsets_of(lent_offsets, offset, length, wide);
    const std::size_t size = (length + 7) / 8;
    nearrow::Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        wanted.match(positions, wide, lent_data.bytes(), length, {bits.data, size});
    }
    return nb::cast(bits.array({size}));
}

std::unique_ptr<StringPattern> make_pattern(nb::bytes text, int place) {
    if (place < 0 || place > static_cast<int>(Place::anywhere)) throw std::invalid_argument("place must be 0, 1 or 2");
    return std::make_unique<StringPattern>(std::string_view(text.c_str(), text.size()), static_cast<Place>(place));
}

}  // namespace

void bind_string_match(nb::module_& module) {
    nb::class_<StringSet>(module, "StringSet", "Strings to look for in Arrow columns.")
        .def("__len__", &StringSet::size)
        .def("match", &match<StringSet>, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a, "wide"_a);
    nb::class_<StringPattern>(module, "StringPattern", "A text to look for in the strings of Arrow columns.")
        .def("match", &match<StringPattern>, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a, "wide"_a);
    module.def("string_pattern", &make_pattern, "text"_a, "place"_a);
    module.def("string_set", &make_set, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a);
}
