// Fetch: how do rows of codes come near the processor before they are scored?
#pragma once

#include <cstdint>

#include "simd.h"

namespace nearrow {

// What was asked for of a batch of rows before it is scored: nothing; its first rows, by `fetch`; or they are near.
enum class Fetched { none, first, all };

// What scores rows of codes against a prepared query: one of the loops of simd.h, and what it reads.
struct CodeScan {
    CodeScan(const CodeRows& rows, bool both_planes, const void* query);

    // Asks for the rows of a batch from one to another, as far as they may be on their way at once; the others are
    // fetched when it is scored.
    void fetch(const int32_t* batch, int from, int to) const;
    void operator()(const int32_t* batch, int n, Fetched fetched, int32_t* keys) const;

  private:
    const CodeRows* rows_;
    bool both_planes_;
    const void* query_;
    int group_;  // rows scored at once
    int ahead_;  // rows that are on their way then
};

inline CodeScan four_bit_scan(const CodeRows& rows, const void* query) { return {rows, false, query}; }
inline CodeScan eight_bit_scan(const CodeRows& rows, const void* query) { return {rows, true, query}; }

}  // namespace nearrow
