// The set for NEON and the integer dot products of ARMv8.2.
#if defined(__aarch64__)
#include "simd_neon_loops.h"

namespace nearrow {

extern const Simd simd_neon_dot = {"neon_dot",   {24, 4, 12},  score<FourL2>, score<EightL2>, query_of_row,
                                   collect,      peek,         absorb,        l2<Float32>,    l2<Float16>,
                                   dot<Float32>, dot<Float16>, widen_f16,     quantise};

}  // namespace nearrow
#endif
