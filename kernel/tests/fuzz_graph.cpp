// Fuzz: can any bytes in a graph file make a search read out of bounds? The header's checksum is made good, so that the
// fuzzer gets past it.
#include <cstring>

#include "builder.h"
#include "rows.h"
#include "searcher.h"

using namespace nearrow;
using namespace nearrow::testing;

namespace {

struct Good {
    std::vector<float> values = draw_rows(300, 9, 1);
    Vectors vectors = view_rows(values, 9);
    Buffer buffers[3];
    Good() {
        BuildOptions options;
        options.threads = 1;
        for (int i = 0; i < 3; ++i) {
            options.codes = i == 0 ? 0 : 4 * i;
            buffers[i] = build_graph(vectors, static_cast<Metric>(i), options);
        }
    }
};

}  // namespace

// The input is a list of patches: two bytes of offset (shifted by the third), then the value.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Good good;
    if (size < 1) return 0;
    const Buffer& base = good.buffers[data[0] % 3];
    Buffer patched(base.size());
    std::memcpy(patched.data(), base.bytes().data(), base.size());
    for (size_t at = 1; at + 4 <= size; at += 4) {
        const size_t offset = (static_cast<size_t>(data[at]) | static_cast<size_t>(data[at + 1]) << 8)
                              << (data[at + 2] & 3);
        patched.data()[offset % base.size()] = static_cast<std::byte>(data[at + 3]);
    }
    std::memset(patched.data() + offsetof(GraphHeader, header_crc), 0, 4);
    const uint32_t crc = crc32c(patched.data(), kPage);
    std::memcpy(patched.data() + offsetof(GraphHeader, header_crc), &crc, 4);
    try {
        const GraphView graph(patched.bytes());
        graph.check();
        if (graph.rows() != good.vectors.rows() ||
            static_cast<int>(graph.header().dimension) != good.vectors.dimension())
            return 0;
        Searcher searcher(graph, good.vectors);
        int64_t positions[5];
        float distances[5];
        uint8_t accept[38];
        for (size_t i = 0; i < sizeof accept; ++i) accept[i] = 0x55;
        for (int row = 0; row < 3; ++row) {
            const float* query = good.values.data() + row * 9;
            if (searcher.search(query, 5, beam_for(graph, 0.9, 5) % 1000 + 1, {}, positions, distances) != 5)
                __builtin_trap();
            if (searcher.search(query, 5, 20, {accept, count_bits(accept, 300)}, positions, distances) != 5)
                __builtin_trap();
        }
    } catch (const Corruption&) {
    } catch (const Incompatible&) {
    }
    return 0;
}
