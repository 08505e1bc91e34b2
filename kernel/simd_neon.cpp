// The set for NEON alone, which every 64-bit ARM processor has.
#if defined(__aarch64__)
#include "simd_neon_loops.h"

namespace nearrow {

extern const Simd simd_neon = {"neon", {24, 4, 12}, score<FourL2>, score<EightL2>, query_of_row, collect,   peek,
                               absorb, l2<Float32>, l2<Float16>,   dot<Float32>,   dot<Float16>, widen_f16, quantise};

}  // namespace nearrow
#endif
