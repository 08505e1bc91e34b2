// Simd: which loops exist once per instruction set, and which set does this machine run?
//
// Every set gives the same bits: code sums are integers, and floating sums use the same 32 lanes in the same order.
// The files that implement a set hold no templates or inline functions of other headers, so that no code compiled for
// a newer processor can be picked by the linker for an older one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearrow {

// A row of 4-bit codes: `full` blocks of 64 bytes (128 dimensions: byte j holds dimension j in its low and 64 + j in
// its high nibble), then `tail` bytes (< 64) that pair dimension j with tail + j. Queries are laid out in blocks of
// 128.
struct CodeShape {
    int dimensions;
    int full;
    int tail;
};

// Rows of codes by node: the high nibbles, and the low ones (used by the 8-bit forms only).
struct CodeRows {
    const uint8_t* high;
    size_t high_stride;
    const uint8_t* low;
    size_t low_stride;
    CodeShape shape;
};

// How far is fetched ahead. Rows of codes: so many lines are on their way while so many rows (a multiple of four) are
// scored. Where more lines are asked for than the processors that have these instructions keep in flight, those needed
// first wait behind the others (docs/decisions). Vectors: so many lines of each; the processor runs on by itself.
struct Fetching {
    int lines;
    int rows;
    int vector_lines;
};

struct Simd {
    const char* name;
    Fetching fetching;
    // The scoring loops expect the rows to be on their way (fetch.h).
    // keys[i] = Σ c·(4c − t), c the 4-bit code: 4·(‖c − t/8‖² − ‖t/8‖²).
    void (*four_l2)(const CodeRows&, const void* t, const int32_t* nodes, int n, int32_t* keys);
    // keys[i] = Σ min(|q − c|, 254)², c the 8-bit code and q unsigned.
    void (*eight_l2)(const CodeRows&, const void* q, const int32_t* nodes, int n, int32_t* keys);
    // A stored row as a query: its 8-bit codes c, and t = ⌊(c + 1) / 2⌋ − 4 (8 × the position of c among 4-bit codes);
    // returns Σ t², padding (where c is 0) included.
    int32_t (*query_of_row)(const CodeShape&, const uint8_t* high, const uint8_t* low, uint8_t* eight, int8_t* four);
    // Appends to `out` the ids of a list that are below `nodes` and not yet visited, and marks them; returns how many.
    // `out` has room for 16 more ids than the list.
    int (*collect)(uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out);
    // The same without marking.
    int (*peek)(const uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out);
    // Inserts the scored nodes into a sorted pool of at most `capacity` entries ((key, node, expanded), see walk.h);
    // prefetches their neighbour lists; returns the lowest place changed, or `*size` before. buffers[0] is the pool,
    // with room for 16 entries more, buffers[1] as large: the two may be swapped.
    int (*absorb)(uint64_t** buffers, int* size, int capacity, const int32_t* nodes, const int32_t* keys, int n,
                  const int32_t* lists, int width);
    // Exact sums in float64 over a row; the query is padded with zeros to a multiple of 32.
    double (*l2_f32)(const void* row, const float* query, int dimension);
    double (*l2_f16)(const void* row, const float* query, int dimension);
    void (*dot_f32)(const void* row, const float* query, int dimension, double* dot, double* norm);
    void (*dot_f16)(const void* row, const float* query, int dimension, double* dot, double* norm);
    // The values of n half-precision numbers.
    void (*widen_f16)(const void* halves, int n, float* out);
    // out[j] = round(clamp(values[j]·scale + shift[j], low, high)), n a multiple of 16; NaN becomes low.
    void (*quantise)(const float* values, const float* shift, float scale, float low, float high, int n, int16_t* out);
};

extern const Simd simd_scalar;
#if defined(__x86_64__)
extern const Simd simd_avx2;
extern const Simd simd_avx512;
int absorb_avx512(uint64_t** buffers, int* size, int capacity, const int32_t* nodes, const int32_t* keys, int n,
                  const int32_t* lists, int width);
#elif defined(__aarch64__)
extern const Simd simd_neon;
extern const Simd simd_neon_dot;
#endif

// The set in use: the best that the processor has, or the one that NEARROW_SIMD or force_simd names.
const Simd& simd();
// Returns false when this processor (or this build) lacks the set. For tests; not while searches run.
bool force_simd(const char* name);

}  // namespace nearrow
