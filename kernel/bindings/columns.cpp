// Python's view of the loops over columns: convert, release the GIL, call.
#include <nanobind/stl/optional.h>

#include "../list_match.h"
#include "../numbering.h"
#include "../tally.h"
#include "arrays.h"
#include "lent.h"
#include "module.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace nearrow;

namespace {

nb::object match(nb::handle offsets, std::size_t offset, std::size_t length, bool wide, const Bits& marks,
                 std::uint64_t first, std::uint64_t elements, bool every) {
    const Lent lent(offsets);
    const auto positions = offsets_of(lent, offset, length, wide);
    const std::size_t size = (length + 7) / 8;
    Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        match_lists(positions, wide, length, {marks.data(), marks.shape(0)}, first, elements, every, {bits.data, size});
    }
    return nb::cast(bits.array({size}));
}

bool ascending(nb::handle offsets, std::size_t offset, std::size_t length, bool wide) {
    const Lent lent(offsets);
    const auto positions = offsets_of(lent, offset, length, wide);
    const nb::gil_scoped_release release;
    return in_order(positions.first((length + 1) * (wide ? 8 : 4)), wide);
}

template <class Number>
using Array = nb::ndarray<const Number, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Places = Array<std::int32_t>;

template <class Number>
std::span<const Number> span_of(const Array<Number>& array) {
    return {array.data(), array.shape(0)};
}

template <class Number>
nb::object count(const Array<Number>& numbers, const std::optional<Places>& starts, const std::optional<Bits>& wanted,
                 std::size_t rows, std::size_t distinct) {
    if (starts.has_value() ? starts->shape(0) != rows + 1 : numbers.shape(0) != rows)
        throw std::invalid_argument("the numbers do not belong to so many rows");
    if (wanted.has_value() && wanted->shape(0) < (rows + 7) / 8)
        throw std::invalid_argument("there are fewer bits than rows");
    Output<std::int64_t> counts(distinct);
    std::fill(counts.data, counts.data + distinct, std::int64_t{0});
    bool sound = true;
    {
        const nb::gil_scoped_release release;
        const auto begins = starts.has_value() ? span_of<std::int32_t>(*starts) : std::span<const std::int32_t>();
        sound = tally<Number>(span_of<Number>(numbers), begins, wanted.has_value() ? wanted->data() : nullptr, rows,
                              {counts.data, distinct});
    }
    if (!sound) throw std::invalid_argument("a number or a row's place lies outside");
    return nb::cast(counts.array({distinct}));
}

// Strings of Arrow columns become numbers, of a byte each as long as there are few; None beyond the limit.
nb::object number(StringNumbers& numbering, nb::handle offsets, nb::handle data, nb::handle valid, std::size_t offset,
                  std::size_t length, bool wide) {
    const Lent lent(offsets);
    const Lent bytes(data);
    const Lent flags(valid);
    const auto positions = offsets_of(lent, offset, length, wide);
    if (!flags.bytes().empty() && flags.bytes().size() < (offset + length + 7) / 8)
        throw std::invalid_argument("the column's validity is shorter than its rows");
    const auto number_from = [&](std::size_t first, auto* numbers) {
        const nb::gil_scoped_release release;
        return numbering.number(positions, wide, bytes.bytes(), flags.bytes(), offset, first, length, numbers);
    };
    std::size_t done = 0;
    Output<std::uint8_t> small(length);
    if (numbering.size() <= 255) done = number_from(0, small.data);
    if (done == length) return nb::cast(small.array({length}));
    Output<std::int32_t> numbers(length);
    std::copy(small.data, small.data + done, numbers.data);
    return number_from(done, numbers.data) == length ? nb::cast(numbers.array({length})) : nb::none();
}

// (the bytes of all strings, where each begins)
nb::object values_of(const StringNumbers& numbering) {
    const auto& starts = numbering.starts();
    Output<std::int64_t> places(starts.size());
    std::copy(starts.begin(), starts.end(), places.data);
    return nb::make_tuple(nb::bytes(numbering.bytes().data(), numbering.bytes().size()), places.array({starts.size()}));
}

template <class Number>
nb::object once(const Array<Number>& numbers, const Array<std::int64_t>& places, std::size_t distinct) {
    if (places.shape(0) == 0) throw std::invalid_argument("there is no place");
    Output<Number> kept(numbers.shape(0));
    Output<std::int32_t> starts(places.shape(0));
    std::int64_t written = 0;
    {
        const nb::gil_scoped_release release;
        written = once_each<Number>(span_of<Number>(numbers), span_of<std::int64_t>(places), distinct, kept.data,
                                    starts.data);
    }
    if (written < 0) throw std::invalid_argument("a number or a row's place lies outside");
    return nb::make_tuple(kept.array({static_cast<std::size_t>(written)}), starts.array({places.shape(0)}));
}

template <class Number>
nb::object mark(const Array<Number>& numbers, const Bits& marks) {
    const std::size_t size = (numbers.shape(0) + 7) / 8;
    Output<std::uint8_t> bits(size);
    {
        const nb::gil_scoped_release release;
        marked<Number>(span_of<Number>(numbers), {marks.data(), marks.shape(0)}, bits.data);
    }
    return nb::cast(bits.array({size}));
}

}  // namespace

void bind_columns(nb::module_& module) {
    module.def("match_lists", &match, "offsets"_a, "offset"_a, "length"_a, "wide"_a, "marks"_a, "first"_a, "elements"_a,
               "every"_a);
    module.def("in_order", &ascending, "offsets"_a, "offset"_a, "length"_a, "wide"_a);
    const auto bind_loops = [&]<class Number>(Number) {
        module.def("tally", &count<Number>, "numbers"_a, "starts"_a.none(), "wanted"_a.none(), "rows"_a, "distinct"_a);
        module.def("once_each", &once<Number>, "numbers"_a, "places"_a, "distinct"_a);
        module.def("marked", &mark<Number>, "numbers"_a, "marks"_a);
    };
    bind_loops(std::uint8_t{});
    bind_loops(std::int32_t{});
    nb::class_<StringNumbers>(module, "StringNumbers", "Numbers for the different strings of Arrow columns.")
        .def(nb::init<std::size_t>(), "limit"_a)
        .def("number", &number, "offsets"_a, "data"_a.none(), "valid"_a.none(), "offset"_a, "length"_a, "wide"_a)
        .def("values", &values_of);
}
