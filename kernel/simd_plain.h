// The parts of a walk that gain little from vectors: included by the files of the sets that have no better way.
// Everything here has internal linkage, so each set compiles its own copy.
#pragma once

#include <string.h>

#include "simd.h"

namespace nearrow {
namespace {

int32_t query_of_row(const CodeShape& shape, const uint8_t* high, const uint8_t* low, uint8_t* eight, int8_t* four) {
    const int bytes = (shape.full + 1) * 128;
    memset(eight, 0, static_cast<size_t>(bytes));
    for (int block = 0; block <= shape.full; ++block) {
        const int count = block < shape.full ? 64 : shape.tail;
        for (int j = 0; j < count; ++j) {
            const int h = high[block * 64 + j];
            const int l = low[block * 64 + j];
            eight[block * 128 + j] = static_cast<uint8_t>(((h & 15) << 4) | (l & 15));
            eight[block * 128 + 64 + j] = static_cast<uint8_t>((h & 0xF0) | (l >> 4));
        }
    }
    int32_t squares = 0;
    for (int j = 0; j < bytes; ++j) {
        const int t = ((eight[j] + 1) >> 1) - 4;
        four[j] = static_cast<int8_t>(t);
        squares += t * t;
    }
    return squares;
}

int collect(uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out) {
    int n = 0;
    for (int j = 0; j < width; ++j) {
        const auto node = static_cast<uint32_t>(list[j]);
        if (node >= nodes) continue;
        const uint32_t bit = 1U << (node & 31);
        const uint32_t word = visited[node >> 5];
        visited[node >> 5] = word | bit;
        out[n] = list[j];
        n += (word & bit) == 0 ? 1 : 0;
    }
    return n;
}

int peek(const uint32_t* visited, const int32_t* list, int width, uint32_t nodes, int32_t* out) {
    int n = 0;
    for (int j = 0; j < width; ++j) {
        const auto node = static_cast<uint32_t>(list[j]);
        if (node >= nodes) continue;
        out[n] = list[j];
        n += (visited[node >> 5] >> (node & 31) & 1) == 0 ? 1 : 0;
    }
    return n;
}

[[maybe_unused]] int absorb(uint64_t** buffers, int* size, int capacity, const int32_t* nodes, const int32_t* keys,
                            int n, const int32_t* lists, int width) {
    uint64_t* pool = buffers[0];
    int lowest = *size;
    for (int i = 0; i < n; ++i) {
        const uint64_t entry = (static_cast<uint64_t>(static_cast<uint32_t>(keys[i]) ^ 0x80000000U) << 32) |
                               (static_cast<uint64_t>(static_cast<uint32_t>(nodes[i])) << 1);
        if (*size == capacity && entry >= pool[*size - 1]) continue;
        const char* list = reinterpret_cast<const char*>(lists + static_cast<int64_t>(nodes[i]) * width);
        for (int at = 0; at < 4 * width; at += 64) __builtin_prefetch(list + at);
        int low = 0;
        for (int count = *size; count > 0;) {
            const int half = count / 2;
            const bool after = pool[low + half] < entry;
            low = after ? low + half + 1 : low;
            count = after ? count - half - 1 : half;
        }
        const int last = *size == capacity ? *size - 1 : *size;
        memmove(pool + low + 1, pool + low, static_cast<size_t>(last - low) * sizeof(uint64_t));
        pool[low] = entry;
        *size = last + 1;
        lowest = low < lowest ? low : lowest;
    }
    return lowest;
}

}  // namespace
}  // namespace nearrow
