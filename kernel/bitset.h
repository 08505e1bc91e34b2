// Bitset: which positions may be returned? Arrow's packed bits.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace nearrow {

class Sketch;

// Arrow validity order: bit i is byte i / 8, least significant first. Null data accepts everything.
struct AcceptBits {
    const uint8_t* data = nullptr;
    int64_t count = 0;  // set bits among the rows, when data is not null
    // The same by node of a graph, if somebody made it: a filter that is asked again is then tested and scanned in the
    // order in which codes lie. Only a hint which nodes to look at: what is returned passed `data`.
    const uint8_t* nodes = nullptr;
    const Sketch* sketch = nullptr;  // of the same nodes
    bool test(int64_t position) const { return data == nullptr || ((data[position >> 3] >> (position & 7)) & 1) != 0; }
};

inline int64_t count_bits(const uint8_t* data, int64_t bits) {
    int64_t count = 0;
    int64_t byte = 0;
    for (; (byte + 8) * 8 <= bits; byte += 8) {
        uint64_t word;
        std::memcpy(&word, data + byte, sizeof word);
        count += std::popcount(word);
    }
    for (; byte * 8 < bits; ++byte) {
        const int64_t left = bits - byte * 8;
        const unsigned mask = left >= 8 ? 255U : (1U << left) - 1U;
        count += std::popcount(data[byte] & mask);
    }
    return count;
}

}  // namespace nearrow
