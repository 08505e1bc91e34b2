#include "duplicates.h"

#include <cstring>

#include "random.h"

namespace nearrow {
namespace {

uint64_t hash_row(const void* row, size_t bytes) {
    const auto* at = static_cast<const unsigned char*>(row);
    uint64_t lanes[4] = {1, 2, 3, 4};
    size_t i = 0;
    for (; i + 32 <= bytes; i += 32) {
        for (size_t lane = 0; lane < 4; ++lane) {
            uint64_t word;
            std::memcpy(&word, at + i + 8 * lane, 8);
            lanes[lane] = (lanes[lane] ^ word) * 0x9E3779B97F4A7C15ULL;
            lanes[lane] ^= lanes[lane] >> 29;
        }
    }
    uint64_t result = bytes;
    for (; i < bytes; ++i) result = (result ^ at[i]) * 0x100000001B3ULL;
    for (const uint64_t lane : lanes) result = mix(result ^ lane);
    return result;
}

}  // namespace

std::vector<int32_t> first_of_equal_rows(const Vectors& vectors, Team& team) {
    const int64_t rows = vectors.rows();
    std::vector<uint64_t> hashes(static_cast<size_t>(rows));
    team.each(rows, 1024, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            hashes[static_cast<size_t>(i)] = hash_row(vectors.row(i), vectors.row_bytes());
    });
    size_t slots = 16;
    while (slots < static_cast<size_t>(rows) * 2) slots *= 2;
    std::vector<int32_t> table(slots, -1);
    std::vector<int32_t> first(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) {
        const uint64_t hash = hashes[static_cast<size_t>(i)];
        size_t slot = hash & (slots - 1);
        for (;; slot = (slot + 1) & (slots - 1)) {
            const int32_t other = table[slot];
            if (other < 0) {
                table[slot] = static_cast<int32_t>(i);
                first[static_cast<size_t>(i)] = static_cast<int32_t>(i);
                break;
            }
            if (hashes[static_cast<size_t>(other)] == hash &&
                std::memcmp(vectors.row(other), vectors.row(i), vectors.row_bytes()) == 0) {
                first[static_cast<size_t>(i)] = other;
                break;
            }
        }
    }
    return first;
}

}  // namespace nearrow
