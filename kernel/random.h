// Random: which numbers does a seed give? The same on every machine and for every thread count.
#pragma once

#include <cstdint>

namespace nearrow {

// SplitMix64's finaliser.
inline uint64_t mix(uint64_t value) {
    value += 0x9E3779B97F4A7C15ULL;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
}

// Uniform in (0, 1].
inline double unit(uint64_t bits) { return (static_cast<double>(bits >> 11) + 1.0) * 0x1.0p-53; }

}  // namespace nearrow
