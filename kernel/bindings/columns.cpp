// Python's view of the loops over columns: convert, release the GIL, call.
#include <nanobind/stl/optional.h>

#include "../list_match.h"
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

using Numbers = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::object count(const Numbers& numbers, const std::optional<Numbers>& starts, const std::optional<Bits>& wanted,
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
        const auto begins = starts.has_value() ? std::span<const std::int32_t>(starts->data(), starts->shape(0))
                                               : std::span<const std::int32_t>();
        sound = tally({numbers.data(), numbers.shape(0)}, begins, wanted.has_value() ? wanted->data() : nullptr, rows,
                      {counts.data, distinct});
    }
    if (!sound) throw std::invalid_argument("a number or a row's place lies outside");
    return nb::cast(counts.array({distinct}));
}

}  // namespace

void bind_columns(nb::module_& module) {
    module.def("match_lists", &match, "offsets"_a, "offset"_a, "length"_a, "wide"_a, "marks"_a, "first"_a, "elements"_a,
               "every"_a);
    module.def("tally", &count, "numbers"_a, "starts"_a.none(), "wanted"_a.none(), "rows"_a, "distinct"_a);
}
