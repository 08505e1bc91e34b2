// The loops with NEON: the same integers and lanes, on the instructions that every 64-bit Arm has.
#if defined(__aarch64__)
#include "simd.h"
#endif
