// Python's view of string matching: convert, release the GIL, call.

#include "../string_match.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/unique_ptr.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "module.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using nearrow::StringSet;

// A buffer that Python lent us, given back at the end; None is empty.
class Lent {
  public:
    explicit Lent(nb::handle source) {
        if (source.is_none()) return;
        if (PyObject_GetBuffer(source.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
        held_ = true;
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() {
        if (held_) PyBuffer_Release(&view_);
    }
    std::span<const std::byte> bytes() const {
        if (!held_) return {};
        return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

  private:
    Py_buffer view_ = {};
    bool held_ = false;
};

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

nb::object match(const StringSet& set, nb::handle offsets, nb::handle data, std::size_t offset, std::size_t length,
                 bool wide) {
    const Lent lent_offsets(offsets);
    const Lent lent_data(data);
    const auto positions = lent_offsets.bytes();
    const std::size_t width = wide ? 8 : 4;
    if (offset > (std::size_t{1} << 40) || length > (std::size_t{1} << 40) ||
        (offset + length + 1) * width > positions.size()) {
        throw std::invalid_argument("the column's offsets are shorter than its rows");
    }
    const std::size_t size = (length + 7) / 8;
    nearrow::Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        set.match(positions.subspan(offset * width), wide, lent_data.bytes(), length, {bits.data, size});
    }
    return nb::cast(bits.array({size}));
}

}  // namespace

void bind_string_match(nb::module_& module) {
    nb::class_<StringSet>(module, "StringSet", "Strings to look for in Arrow columns.")
        .def("__len__", &StringSet::size)
        .def("match", &match, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a, "wide"_a);
    module.def("string_set", &make_set, "offsets"_a, "data"_a.none(), "offset"_a, "length"_a);
}
