// Arrays: how do NumPy arrays go in and out without copies?
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <optional>

#include "../bitset.h"

namespace nearrow {

using Queries = nanobind::ndarray<const float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;
using Query = nanobind::ndarray<const float, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using Bits = nanobind::ndarray<const uint8_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

// An array that owns its memory, made by C++ and handed to Python.
template <class Value>
struct Output {
    Value* data;
    nanobind::capsule owner;
    explicit Output(size_t n)
        : data(new Value[n > 0 ? n : 1]), owner(data, [](void* p) noexcept { delete[] static_cast<Value*>(p); }) {}
    nanobind::ndarray<nanobind::numpy, Value> array(std::initializer_list<size_t> shape) const {
        return nanobind::ndarray<nanobind::numpy, Value>(data, shape, owner);
    }
};

inline AcceptBits accept_bits(const std::optional<Bits>& bits, std::optional<int64_t> count, int64_t rows) {
    if (!bits.has_value()) return {};
    if (static_cast<int64_t>(bits->shape(0)) < (rows + 7) / 8) {
        throw std::invalid_argument("accept has " + std::to_string(bits->shape(0)) + " bytes; " + std::to_string(rows) +
                                    " rows need " + std::to_string((rows + 7) / 8));
    }
    return {bits->data(), count.has_value() ? *count : count_bits(bits->data(), rows)};
}

inline void check_dimension(size_t given, int wanted) {
    if (given == static_cast<size_t>(wanted)) return;
    const std::string message =
        "the query has " + std::to_string(given) + " dimensions, the vectors have " + std::to_string(wanted);
    const nanobind::object error = nanobind::module_::import_("nearrow.errors").attr("DimensionMismatchError");
    PyErr_SetString(error.ptr(), message.c_str());
    throw nanobind::python_error();
}

[[noreturn]] inline void refuse_query() {
    throw std::invalid_argument("the query holds NaN or infinity, or is zero under cosine; it has no nearest rows");
}

}  // namespace nearrow
