// Lent: how is memory that a Python object exports borrowed for the time of a call?
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <span>
#include <stdexcept>

namespace nearrow {

// A buffer that Python lent us, given back at the end; None is empty.
class Lent {
  public:
    explicit Lent(nanobind::handle source) {
        if (source.is_none()) return;
        if (PyObject_GetBuffer(source.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nanobind::python_error();
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

// The part of an Arrow offsets buffer that belongs to `length` rows from `offset` on.
inline std::span<const std::byte> offsets_of(const Lent& lent, std::size_t offset, std::size_t length, bool wide) {
    const std::size_t width = wide ? 8 : 4;
    const auto positions = lent.bytes();
    if (offset > (std::size_t{1} << 40) || length > (std::size_t{1} << 40) ||
        (offset + length + 1) * width > positions.size()) {
        throw std::invalid_argument("the column's offsets are shorter than its rows");
    }
    return positions.subspan(offset * width);
}

}  // namespace nearrow
