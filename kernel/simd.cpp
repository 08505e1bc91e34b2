#include "simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace nearrow {
namespace {

#if defined(__x86_64__)
// Not every compiler's __builtin_cpu_supports knows this name.
bool has_f16c() {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1U << 29)) != 0;
}
#elif defined(__aarch64__)
bool has_dot_products() {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false;  // no portable way to ask; plain NEON is always there
#endif
}
#endif

const Simd* find(const char* name) {
    if (std::strcmp(name, "scalar") == 0) return &simd_scalar;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    if (std::strcmp(name, "avx2") == 0) return avx2 ? &simd_avx2 : nullptr;
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vnni");
    if (std::strcmp(name, "avx512") == 0) return avx512 ? &simd_avx512 : nullptr;
#elif defined(__aarch64__)
    if (std::strcmp(name, "neon") == 0) return &simd_neon;
    if (std::strcmp(name, "neon_dot") == 0) return has_dot_products() ? &simd_neon_dot : nullptr;
#endif
    return nullptr;
}

const Simd* choose() {
    if (const char* wanted = std::getenv("NEARROW_SIMD")) {
        if (const Simd* found = find(wanted)) return found;
    }
    for (const char* name : {"avx512", "avx2", "neon_dot", "neon"}) {
        if (const Simd* found = find(name)) return found;
    }
    return &simd_scalar;
}

std::atomic<const Simd*>& current() {
    static std::atomic<const Simd*> chosen{choose()};
    return chosen;
}

}  // namespace

const Simd& simd() { return *current().load(std::memory_order_relaxed); }

bool force_simd(const char* name) {
    const Simd* found = find(name);
    if (found == nullptr) return false;
    current().store(found);
    return true;
}

}  // namespace nearrow
