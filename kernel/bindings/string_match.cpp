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
#include "lent_chunks.h"
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

// Of a set or a pattern: for each chunk its bytes of bits.
template <class Wanted>
nb::object match(const Wanted& wanted, const nb::sequence& chunks, int threads) {
    nearrow::LentChunks lent;
    const std::vector<nearrow::StringChunk> strings = lent.strings(chunks);
    const std::size_t size = nearrow::bytes_of_bits(strings);
    nearrow::Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        nearrow::match_chunks(wanted, strings, threads, bits.data);
    }
    return nb::cast(bits.array({size}));
}

template <class Wanted>
nb::object match_in_lists(const Wanted& wanted, const nb::sequence& chunks, bool every, int threads) {
    nearrow::LentChunks lent;
    const std::vector<nearrow::ListChunk> lists = lent.lists(chunks);
    const std::size_t size = nearrow::bytes_of_bits(lists);
    nearrow::Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        nearrow::match_chunks(wanted, lists, every, threads, bits.data);
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
        .def("match", &match<StringSet>, "chunks"_a, "threads"_a = 0)
        .def("match_in_lists", &match_in_lists<StringSet>, "chunks"_a, "every"_a, "threads"_a = 0);
    nb::class_<StringPattern>(module, "StringPattern", "A text to look for in the strings of Arrow columns.")
        .def("match", &match<StringPattern>, "chunks"_a, "threads"_a = 0)
        .def("match_in_lists", &match_in_lists<StringPattern>, "chunks"_a, "every"_a, "threads"_a = 0);
    module.def("string_pattern", &make_pattern, "text"_a, "place"_a);
    module.def("string_set", &make_set, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a);
}
