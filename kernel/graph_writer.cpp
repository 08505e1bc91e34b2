#include "graph_writer.h"

#include <algorithm>
#include <cstring>

namespace nearrow {
namespace {

// Breadth first from node 0; nodes of higher levels keep the lowest ids, because a level is a prefix of the ids.
std::vector<int32_t> local_order(const std::vector<Layer>& layers) {
    const Layer& base = layers[0];
    std::vector<int32_t> reached;
    std::vector<uint8_t> seen(static_cast<size_t>(base.nodes), 0);
    reached.reserve(static_cast<size_t>(base.nodes));
    for (int32_t root = 0; root < base.nodes; ++root) {
        if (seen[static_cast<size_t>(root)] != 0) continue;
        seen[static_cast<size_t>(root)] = 1;
        reached.push_back(root);
        for (size_t at = reached.size() - 1; at < reached.size(); ++at) {
            const int32_t* list = base.list(reached[at]);
            for (int j = 0; j < base.degree(reached[at]); ++j) {
                if (seen[static_cast<size_t>(list[j])] != 0) continue;
                seen[static_cast<size_t>(list[j])] = 1;
                reached.push_back(list[j]);
            }
        }
    }
    const auto level_of = [&](int32_t node) {
        int level = 0;
        while (level + 1 < static_cast<int>(layers.size()) && node < layers[static_cast<size_t>(level + 1)].nodes)
            ++level;
        return level;
    };
    std::stable_sort(reached.begin(), reached.end(), [&](int32_t a, int32_t b) { return level_of(a) > level_of(b); });
    return reached;
}

}  // namespace

Buffer write_graph(const GraphParts& parts, const BuildOptions& options, double ml, Team& team) {
    const std::vector<Layer>& layers = *parts.layers;
    const CodeRows& codes = parts.rows_coded->codes;
    const std::vector<float>& norms = parts.rows_coded->norms;
    const auto nodes = static_cast<size_t>(layers[0].nodes);
    const std::vector<int32_t> order = local_order(layers);
    std::vector<int32_t> place(nodes);
    for (size_t i = 0; i < nodes; ++i) place[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);

    const bool joined = parts.kind == CodeKind::eight;
    const auto plane = static_cast<size_t>(row_bytes(parts.book->shape));
    const size_t row = joined ? 2 * plane : plane;
    const size_t stride = row_stride(row);
    const auto width = static_cast<size_t>(layers[0].limit);
    const bool duplicates = static_cast<int64_t>(nodes) != parts.rows;
    size_t layer_bytes = 0;
    for (size_t level = 1; level < layers.size(); ++level) {
        layer_bytes += static_cast<size_t>(layers[level].nodes) * static_cast<size_t>(layers[level].limit) * 4;
    }
    const size_t lengths[kSections] = {
        (parts.book->origin.size() + parts.book->coded.size()) * 4,
        nodes * stride,
        joined ? 0 : nodes * stride,
        nodes * width * 4,
        layer_bytes,
        static_cast<size_t>(parts.rows) * 4,
        duplicates ? (nodes + 1) * 4 : 0,
        static_cast<size_t>(parts.rows) * 4,
        norms.size() * 4,
    };

    GraphHeader header{};
    std::memcpy(header.magic, "NRRWGRPH", 8);
    header.version = kGraphVersion;
    header.flags = (parts.book->coded.empty() ? 0 : kSomeCoded) | (stride == row ? 0 : kSpacedRows);
    header.coded = static_cast<uint32_t>(parts.book->coded.size());
    header.stride = stride == row ? 0 : static_cast<uint32_t>(stride);
    header.metric = static_cast<uint32_t>(parts.metric);
    header.code_kind = static_cast<uint32_t>(parts.kind);
    header.dimension = static_cast<uint32_t>(parts.book->dimension);
    header.m = static_cast<uint32_t>(options.m);
    header.width = static_cast<uint32_t>(width);
    header.ef_construction = static_cast<uint32_t>(options.ef_construction);
    header.levels = static_cast<uint32_t>(layers.size());
    header.seed = options.seed;
    header.rows = static_cast<uint64_t>(parts.rows);
    header.nodes = nodes;
    header.ml = ml;
    header.step = parts.book->step;
    header.curve_points = static_cast<uint32_t>(std::min<size_t>(parts.curve.size(), kCurveMax));
    std::copy_n(parts.curve.begin(), header.curve_points, header.curve);
    for (size_t level = 0; level < layers.size(); ++level)
        header.level_nodes[level] = static_cast<uint64_t>(layers[level].nodes);
    size_t offset = kPage;
    for (int section = 0; section < kSections; ++section) {
        header.sections[section] = {offset, lengths[section]};
        offset = (offset + lengths[section] + kPage - 1) / kPage * kPage;
    }
    header.length = offset;

    Buffer buffer(offset);
    const auto at = [&](Section section) { return buffer.data() + header.sections[section].offset; };
    const size_t origins = parts.book->origin.size() * 4;
    std::memcpy(at(kOrigin), parts.book->origin.data(), origins);
    std::copy(parts.book->coded.begin(), parts.book->coded.end(), reinterpret_cast<int32_t*>(at(kOrigin) + origins));
    auto* high = reinterpret_cast<uint8_t*>(at(kHigh));
    auto* low = joined ? high + plane : reinterpret_cast<uint8_t*>(at(kLow));
    auto* lists = reinterpret_cast<int32_t*>(at(kLists));
    team.each(static_cast<int64_t>(nodes), 1024, [&](int, int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
            const auto from = static_cast<size_t>(order[i]);
            std::memcpy(high + i * stride, codes.high + from * codes.high_stride, plane);
            std::memcpy(low + i * stride, codes.low + from * codes.low_stride, plane);
            if (!norms.empty()) reinterpret_cast<float*>(at(kNorms))[i] = norms[from];
            const int32_t* list = layers[0].list(order[i]);
            for (size_t j = 0; j < width; ++j) {
                lists[i * width + j] =
                    static_cast<int>(j) < layers[0].degree(order[i]) ? place[static_cast<size_t>(list[j])] : -1;
            }
        }
    });
    auto* upper = reinterpret_cast<int32_t*>(at(kLayers));
    for (size_t level = 1; level < layers.size(); ++level) {
        const Layer& layer = layers[level];
        for (int32_t node = 0; node < layer.nodes; ++node) {
            const int32_t from = order[static_cast<size_t>(node)];
            for (int j = 0; j < layer.limit; ++j) {
                *upper++ = j < layer.degree(from) ? place[static_cast<size_t>(layer.list(from)[j])] : -1;
            }
        }
    }
    auto* positions = reinterpret_cast<int32_t*>(at(kPositions));
    auto* node_of = reinterpret_cast<int32_t*>(at(kNodes));
    auto* starts = reinterpret_cast<int32_t*>(at(kStarts));
    int32_t next = 0;
    for (size_t i = 0; i < nodes; ++i) {
        if (duplicates) starts[i] = next;
        const auto from = static_cast<size_t>(order[i]);
        const auto put = [&](int32_t position) {
            positions[next++] = position;
            node_of[position] = static_cast<int32_t>(i);
        };
        if (parts.positions != nullptr) {
            for (const int32_t position : (*parts.positions)[from]) put(position);
        } else {
            put((*parts.single)[from]);
        }
    }
    if (duplicates) starts[nodes] = next;
    header.digest = digest_of(std::span<const std::byte>(buffer.data() + kPage, offset - kPage));
    std::memcpy(buffer.data(), &header, sizeof header);
    const uint32_t crc = crc32c(buffer.data(), kPage);
    std::memcpy(buffer.data() + offsetof(GraphHeader, header_crc), &crc, sizeof crc);
    return buffer;
}

}  // namespace nearrow
