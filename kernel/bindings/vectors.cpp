#include "../vectors.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "../codes.h"
#include "module.h"

namespace nb = nanobind;
using namespace nb::literals;

void bind_vectors(nb::module_& module) {
    nb::class_<nearrow::Vectors>(module, "Vectors",
                                 "Rows by reference: [(address, rows), …]. The caller keeps the memory alive.")
        .def(
            "__init__",
            [](nearrow::Vectors* self, const std::vector<std::tuple<uintptr_t, int64_t>>& chunks, int dimension,
               bool half) {
                if (dimension < 1 || dimension > nearrow::kDimensionMax) {
                    throw std::invalid_argument("a vector has 1 to 32,000 dimensions");
                }
                std::vector<nearrow::Vectors::Chunk> rows;
                for (const auto& [address, count] : chunks)
                    rows.push_back({reinterpret_cast<const std::byte*>(address), count});
                new (self)
                    nearrow::Vectors(rows, dimension, half ? nearrow::Element::float16 : nearrow::Element::float32);
            },
            "chunks"_a, "dimension"_a, "half"_a)
        .def_prop_ro("rows", &nearrow::Vectors::rows)
        .def_prop_ro("dimension", &nearrow::Vectors::dimension);
}
