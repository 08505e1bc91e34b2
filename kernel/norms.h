// Norms: how do keys of directions become keys of products?
//
// ⟨p, c⟩ = ‖p‖·‖c‖·(1 − d/2) for the squared distance d of the directions. Ordering by it needs ‖c‖ only.
#pragma once

#include <cstdint>

#include "codes.h"

namespace nearrow {

constexpr float kProductUnit = 1 << 20;  // the key of the longest row's product with itself

// Squared length 1 in key units.
inline float unit_key(float step, bool eight) { return (eight ? 1.0F : 1.0F / 64.0F) / (step * step); }

// keys[i]: from distances of directions (in key units) to −‖query‖·‖node‖·cos, the norms given as shares of the
// longest.
inline void scale_by_norms(const float* norms, float query_norm, int32_t offset, float unit, const int32_t* nodes,
                           int n, int32_t* keys) {
    const float half = 0.5F / unit;
    for (int i = 0; i < n; ++i) {
        const float cosine = 1.0F - half * static_cast<float>(keys[i] + offset);
        float key = -kProductUnit * query_norm * norms[nodes[i]] * cosine;
        // Written so that NaN from a damaged file becomes a bound.
        key = key > -2.0e9F ? key : -2.0e9F;
        key = key < 2.0e9F ? key : 2.0e9F;
        keys[i] = static_cast<int32_t>(key);
    }
}

}  // namespace nearrow
