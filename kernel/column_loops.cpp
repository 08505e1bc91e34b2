#include "column_loops.h"

#include "simd.h"

namespace nearrow {

const ColumnLoops* column_loops() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    static const bool can_encrypt = __builtin_cpu_supports("aes");  // what the hash is made of
    if (can_encrypt && &simd() == &simd_avx512) return &column_avx512;
#endif
    return nullptr;
}

}  // namespace nearrow
