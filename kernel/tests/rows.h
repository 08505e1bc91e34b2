// Rows: which vectors do the kernel's own tests use?
#pragma once

#include <cstdint>
#include <vector>

#include "random.h"
#include "vectors.h"

namespace nearrow::testing {

// Uniform in [−1, 1); every seventh row repeats the one before.
inline std::vector<float> draw_rows(int64_t rows, int dimension, uint64_t seed) {
    std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(dimension));
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(unit(mix(seed * 1000003 + i)) * 2.0 - 1.0);
    for (int64_t row = 7; row < rows; row += 7) {
        for (int j = 0; j < dimension; ++j)
            values[static_cast<size_t>(row * dimension + j)] = values[static_cast<size_t>((row - 1) * dimension + j)];
    }
    return values;
}

inline Vectors view_rows(const std::vector<float>& values, int dimension) {
    const auto* data = reinterpret_cast<const std::byte*>(values.data());
    const auto rows = static_cast<int64_t>(values.size()) / dimension;
    const int64_t half = rows / 3;  // two chunks, so that chunk arithmetic is exercised
    return Vectors({{data, half}, {data + half * dimension * 4, rows - half}}, dimension, Element::float32);
}

}  // namespace nearrow::testing
