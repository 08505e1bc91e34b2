// Arrays: how do NumPy arrays go in and out without copies?
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

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

// One float32 vector of a call, by Python's buffer protocol: the way in that costs a single search the least.
class OneQuery {
  public:
    // Throws nb::next_overload, which Python sees as a TypeError, when the object is anything else.
    explicit OneQuery(nanobind::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
            PyErr_Clear();
            throw nanobind::next_overload();
        }
        // "<f" is what NumPy says of an array whose type names its byte order.
        const char* format = view_.format != nullptr ? view_.format : "";
        if (*format == '<' && std::endian::native == std::endian::little) ++format;
        const bool floats = view_.ndim == 1 && format[0] == 'f' && format[1] == '\0' &&
                            view_.itemsize == sizeof(float) &&
                            reinterpret_cast<uintptr_t>(view_.buf) % alignof(float) == 0;
        if (floats) return;
        PyBuffer_Release(&view_);
        throw nanobind::next_overload();
    }
    OneQuery(const OneQuery&) = delete;
    OneQuery& operator=(const OneQuery&) = delete;
    ~OneQuery() { PyBuffer_Release(&view_); }
    const float* data() const { return static_cast<const float*>(view_.buf); }
    size_t size() const { return static_cast<size_t>(view_.shape[0]); }

  private:
    Py_buffer view_{};
};

// What makes arrays in NumPy itself, looked up once: for a short answer several times quicker than `Output`.
struct NumpyEmpty {
    PyObject* empty;
    PyObject* dtype;
    explicit NumpyEmpty(const char* type) {
        const nanobind::module_ numpy = nanobind::module_::import_("numpy");
        empty = nanobind::object(numpy.attr("empty")).release().ptr();
        dtype = nanobind::object(numpy.attr("dtype")(type)).release().ptr();
    }
    // A new array of n values and where they lie.
    template <class Value>
    std::pair<nanobind::object, Value*> make(size_t n) const {
        const nanobind::int_ size(n);
        PyObject* arguments[] = {size.ptr(), dtype};
        nanobind::object array = nanobind::steal(PyObject_Vectorcall(empty, arguments, 2, nullptr));
        Py_buffer view{};
        if (!array.is_valid() || PyObject_GetBuffer(array.ptr(), &view, PyBUF_WRITABLE) != 0) {
            throw nanobind::python_error();
        }
        auto* data = static_cast<Value*>(view.buf);
        PyBuffer_Release(&view);  // the array holds the memory
        return {std::move(array), data};
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
