// Fetch: how do rows of codes come near the processor before they are scored?
#pragma once

#include <cstdint>

#include "simd.h"

namespace nearrow {

// Asks for the rows of these nodes: their high nibbles, or both planes. They go to the second cache, since more lines
// can be on their way there than to the first, by far (docs/decisions).
void fetch_codes(const CodeRows& rows, bool both_planes, const int32_t* nodes, int n);

// What scores rows of codes against a prepared query: one of the loops of simd.h, and what it reads.
struct CodeScan {
    void (*loop)(const CodeRows&, const void* query, const int32_t* nodes, int n, int32_t* keys);
    bool both_planes;
    const CodeRows* rows;
    const void* query;

    void fetch(const int32_t* nodes, int n) const { fetch_codes(*rows, both_planes, nodes, n); }
    // The first `fetched` nodes are on their way already; the others are fetched while those before are scored.
    void operator()(const int32_t* nodes, int n, int fetched, int32_t* keys) const;
};

inline CodeScan four_bit_scan(const CodeRows& rows, const void* query) { return {simd().four_l2, false, &rows, query}; }
inline CodeScan eight_bit_scan(const CodeRows& rows, const void* query) {
    return {simd().eight_l2, true, &rows, query};
}

}  // namespace nearrow
