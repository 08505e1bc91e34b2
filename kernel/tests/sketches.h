// Sketches: do the loops over them give the same bits with every set of instructions?
#pragma once

#include <algorithm>
#include <vector>

#include "rows.h"
#include "sketch.h"

namespace nearrow::testing {

// Scores of sketches, odd and even in their pairs of groups, and those of them within limits.
template <class Digest>
bool score_sketches(Digest& digest) {
    bool all = true;
    constexpr int64_t kBlocks = 70;
    for (const int pairs : {1, 2, 17, 48}) {
        std::vector<CacheLine> codes(lines_for(static_cast<size_t>(kBlocks * pairs) * 32));
        std::vector<CacheLine> tables(lines_for(static_cast<size_t>(pairs) * 32));
        for (size_t i = 0; i < codes.size() * sizeof(CacheLine); ++i)
            codes[i / 64].bytes[i % 64] = static_cast<uint8_t>(mix(i));
        for (size_t i = 0; i < static_cast<size_t>(pairs) * 32; ++i)
            tables[i / 64].bytes[i % 64] = static_cast<uint8_t>(mix(i + 5) % (kSketchLevels + 1));
        std::vector<uint16_t> scores(kBlocks * kSketchBlock);
        std::vector<uint16_t> lowest(kBlocks + kSketchBlock);
        sketch_loops().score(codes[0].bytes, tables[0].bytes, pairs, kBlocks, scores.data(), lowest.data());
        digest.add(scores.data(), scores.size() * sizeof scores[0]);
        digest.add(lowest.data(), kBlocks * sizeof lowest[0]);
        std::vector<int32_t> places(scores.size());
        for (const size_t pick : {size_t{0}, size_t{77}, size_t{1234}}) {
            const uint16_t last = scores[pick];
            for (const uint16_t first : {uint16_t{0}, static_cast<uint16_t>(last - 9), last}) {
                const int64_t found =
                    sketch_loops().select(scores.data(), lowest.data(), kBlocks, first, last, places.data());
                const auto inside = [&](uint16_t score) { return score >= first && score <= last; };
                all &= found == std::count_if(scores.begin(), scores.end(), inside);
                digest.add(places.data(), static_cast<size_t>(found) * sizeof places[0]);
            }
        }
    }
    return all;
}

}  // namespace nearrow::testing
