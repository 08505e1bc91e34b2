// Python's view of the loops over columns: convert, release the GIL, call.
#include <nanobind/stl/optional.h>

#include "../list_match.h"
#include "../numbering.h"
#include "../tally.h"
#include "arrays.h"
#include "lent_chunks.h"
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

bool ascending(const nb::sequence& chunks, int threads) {
    LentChunks lent;
    const std::vector<Offsets> positions = lent.offsets(chunks);
    const nb::gil_scoped_release release;
    return all_in_order(positions, threads);
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

// The strings of all chunks become numbers, of a byte each as long as there are few; None beyond the limit.
nb::object number(StringNumbers& numbering, const nb::sequence& chunks, int threads) {
    LentChunks lent;
    const std::vector<StringChunk> strings = lent.strings(chunks);
    std::size_t rows = 0;
    for (const StringChunk& chunk : strings) rows += chunk.offsets.rows;
    std::size_t done = 0;
    Output<std::uint8_t> small(rows);
    if (numbering.size() <= 255) {
        const nb::gil_scoped_release release;
        done = number_chunks(numbering, strings, threads, small.data);
    }
    if (done == rows) return nb::cast(small.array({rows}));
    Output<std::int32_t> numbers(rows);
    {
        const nb::gil_scoped_release release;
        std::copy(small.data, small.data + done, numbers.data);
        std::size_t before = 0;
        for (const auto& [offsets, data, valid, valid_offset] : strings) {
            const std::size_t first = std::clamp(done, before, before + offsets.rows) - before;
            const std::size_t last = numbering.number(offsets.bytes, offsets.wide, data, valid, valid_offset, first,
                                                      offsets.rows, numbers.data + before);
            before += last;
            if (last < offsets.rows) break;
        }
        done = before;
    }
    return done == rows ? nb::cast(numbers.array({rows})) : nb::none();
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

std::int64_t count_of(const Bits& bits) {
    return count_bits(bits.data(), 8 * static_cast<std::int64_t>(bits.shape(0)));
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
    module.def("in_order", &ascending, "chunks"_a, "threads"_a = 0);
    module.def("count_bits", &count_of, "bits"_a);
    const auto bind_loops = [&]<class Number>(Number) {
        module.def("tally", &count<Number>, "numbers"_a, "starts"_a.none(), "wanted"_a.none(), "rows"_a, "distinct"_a);
        module.def("once_each", &once<Number>, "numbers"_a, "places"_a, "distinct"_a);
        module.def("marked", &mark<Number>, "numbers"_a, "marks"_a);
    };
    bind_loops(std::uint8_t{});
    bind_loops(std::int32_t{});
    nb::class_<StringNumbers>(module, "StringNumbers", "Numbers for the different strings of Arrow columns.")
        .def(nb::init<std::size_t>(), "limit"_a)
        .def("number", &number, "chunks"_a, "threads"_a = 0)
        .def("values", &values_of);
}
