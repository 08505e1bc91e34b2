#include "graph_view.h"

#include <cmath>
#include <cstring>

namespace nearrow {
namespace {

[[noreturn]] void corrupt(const std::string& what) {
    throw Corruption("graph file: " + what + "; rebuild the graph from the rows (it is derived data)");
}

}  // namespace

uint32_t crc32c(const std::byte* data, size_t bytes) {
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < bytes; ++i) {
        crc ^= static_cast<uint32_t>(data[i]);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82F63B78U & (0U - (crc & 1U)));
    }
    return ~crc;
}

uint64_t digest_of(std::span<const std::byte> data) {
    constexpr uint64_t kMix = 0x9E3779B97F4A7C15ULL;
    uint64_t lanes[4] = {kMix, kMix * 3, kMix * 5, kMix * 7};
    size_t at = 0;
    for (; at + 32 <= data.size(); at += 32) {
        for (size_t lane = 0; lane < 4; ++lane) {
            uint64_t word;
            std::memcpy(&word, data.data() + at + 8 * lane, 8);
            lanes[lane] = (lanes[lane] ^ word) * 0xFF51AFD7ED558CCDULL;
            lanes[lane] ^= lanes[lane] >> 32;
        }
    }
    uint64_t result = data.size() * kMix;
    for (const uint64_t lane : lanes) result = (result ^ lane) * 0xC4CEB9FE1A85EC53ULL;
    for (; at < data.size(); ++at) result = (result ^ static_cast<uint64_t>(data[at])) * 0x100000001B3ULL;
    return result ^ (result >> 29);
}

const std::byte* GraphView::section(Section section, uint64_t expected) const {
    const auto& entry = header_.sections[section];
    if (entry.length != expected) corrupt("section " + std::to_string(section) + " has the wrong length");
    if (entry.offset % 64 != 0 || entry.offset < kPage || entry.offset > buffer_.size() ||
        entry.length > buffer_.size() - entry.offset) {
        corrupt("section " + std::to_string(section) + " lies outside the file");
    }
    return buffer_.data() + entry.offset;
}

void GraphView::read_codebook() {
    const GraphHeader& h = header_;
    codebook_.metric = static_cast<Metric>(h.metric);
    codebook_.dimension = static_cast<int>(h.dimension);
    codebook_.step = h.step;
    const bool some = (h.flags & kSomeCoded) != 0;
    const uint32_t count = some ? h.coded : h.dimension;
    if (count < 1 || count > h.dimension) corrupt("coded dimensions out of range");
    codebook_.shape = shape_of(static_cast<int>(count));
    const auto* origin = reinterpret_cast<const float*>(section(kOrigin, count * (some ? 8ULL : 4ULL)));
    codebook_.origin.assign(origin, origin + count);
    if (!some) return;
    codebook_.coded.resize(count);
    std::memcpy(codebook_.coded.data(), origin + count, count * sizeof(int32_t));
    int32_t before = -1;
    for (const int32_t dimension : codebook_.coded) {
        if (dimension <= before || dimension >= codebook_.dimension) corrupt("coded dimensions out of order");
        before = dimension;
    }
}

GraphView::GraphView(std::span<const std::byte> buffer) : buffer_(buffer) {
    if (buffer.size() < kPage) corrupt("shorter than its header");
    if (reinterpret_cast<uintptr_t>(buffer.data()) % 8 != 0)
        throw std::invalid_argument("the graph buffer is not aligned");
    std::array<std::byte, kPage> page;
    std::memcpy(page.data(), buffer.data(), kPage);
    std::memcpy(&header_, page.data(), sizeof header_);
    if (std::memcmp(header_.magic, "NRRWGRPH", 8) != 0) corrupt("no graph magic at byte 0");
    if (header_.version > kGraphVersion) {
        throw Incompatible("graph file: version " + std::to_string(header_.version) +
                           " is newer than this Nearrow; upgrade it");
    }
    std::memset(page.data() + offsetof(GraphHeader, header_crc), 0, sizeof header_.header_crc);
    if (crc32c(page.data(), kPage) != header_.header_crc) corrupt("header checksum mismatch");
    if ((header_.flags & ~(kSomeCoded | kSpacedRows)) != 0)
        throw Incompatible("graph file: it uses a feature that this Nearrow lacks; upgrade it");

    // The checksum says that the header is what was written; the checks below that it was written sanely.
    const GraphHeader& h = header_;
    if (h.metric > 2 || (h.code_kind != 0 && h.code_kind != 4 && h.code_kind != 8))
        corrupt("unknown metric or code kind");
    if (h.dimension < 1 || h.dimension > static_cast<uint32_t>(kDimensionMax)) corrupt("dimension out of range");
    if (h.rows > 0x3FFFFFFFULL || h.nodes > h.rows || (h.nodes == 0) != (h.rows == 0))
        corrupt("row count out of range");
    if (h.levels < 1 || h.levels > kLevelsMax || h.level_nodes[0] != h.nodes) corrupt("level count out of range");
    if (h.m < 1 || h.m > 1024 || h.width < 1 || h.width > 2048) corrupt("list width out of range");
    if (h.curve_points > kCurveMax) corrupt("recall curve out of range");
    if (h.length > buffer.size())
        corrupt("truncated: " + std::to_string(buffer.size()) + " of " + std::to_string(h.length) + " bytes");
    if (!(h.step > 0.0F) || !std::isfinite(h.step)) corrupt("step out of range");
    uint64_t layer_entries = 0;
    for (uint32_t level = 1; level < h.levels; ++level) {
        if (h.level_nodes[level] > h.level_nodes[level - 1] || h.level_nodes[level] == 0)
            corrupt("levels do not shrink");
        layer_entries += h.level_nodes[level] * h.m;
    }

    read_codebook();
    const auto plane = static_cast<uint64_t>(row_bytes(codebook_.shape));
    const bool joined = code_kind() == CodeKind::eight;
    const uint64_t bytes = joined ? 2 * plane : plane;
    const uint64_t stride = (h.flags & kSpacedRows) != 0 ? h.stride : bytes;
    if (stride < bytes || stride >= bytes + 64) corrupt("rows of codes have the wrong distance");
    const auto* high = section(kHigh, h.nodes * stride);
    const auto* low = section(kLow, joined ? 0 : h.nodes * stride);
    codes_.shape = codebook_.shape;
    codes_.high = reinterpret_cast<const uint8_t*>(high);
    codes_.high_stride = static_cast<size_t>(stride);
    codes_.low = joined ? codes_.high + plane : reinterpret_cast<const uint8_t*>(low);
    codes_.low_stride = codes_.high_stride;

    levels_[0] = {reinterpret_cast<const int32_t*>(section(kLists, h.nodes * h.width * 4)), static_cast<int>(h.width),
                  static_cast<int32_t>(h.nodes)};
    const auto* layers = reinterpret_cast<const int32_t*>(section(kLayers, layer_entries * 4));
    for (uint32_t level = 1; level < h.levels; ++level) {
        levels_[level] = {layers, static_cast<int>(h.m), static_cast<int32_t>(h.level_nodes[level])};
        layers += h.level_nodes[level] * h.m;
    }
    positions_ = reinterpret_cast<const int32_t*>(section(kPositions, h.rows * 4));
    if (h.sections[kStarts].length != 0 || h.nodes != h.rows) {
        starts_ = reinterpret_cast<const int32_t*>(section(kStarts, (h.nodes + 1) * 4));
    }
    nodes_ = reinterpret_cast<const int32_t*>(section(kNodes, h.rows * 4));
    const auto* norms = section(kNorms, metric() == Metric::dot ? h.nodes * 4 : 0);
    if (metric() == Metric::dot) norms_ = reinterpret_cast<const float*>(norms);
}

GraphView::GraphView(const Codebook& book, const CodeRows& codes, CodeKind kind, std::span<const LevelView> levels,
                     int64_t rows, const int32_t* positions, const float* norms)
    : codebook_(book), codes_(codes), positions_(positions), norms_(norms) {
    header_.metric = static_cast<uint32_t>(book.metric);
    header_.code_kind = static_cast<uint32_t>(kind);
    header_.levels = static_cast<uint32_t>(levels.size());
    header_.rows = static_cast<uint64_t>(rows);
    header_.nodes = static_cast<uint64_t>(levels[0].nodes);
    header_.step = book.step;
    for (size_t level = 0; level < levels.size(); ++level) levels_[level] = levels[level];
}

std::vector<std::string> GraphView::check() const {
    std::vector<std::string> problems;
    const auto report = [&](const std::string& problem) {
        if (problems.size() < 20) problems.push_back(problem);
    };
    if (digest_of(buffer_.subspan(kPage, header_.length - kPage)) != header_.digest)
        report("digest mismatch after the header");

    for (int level = 0; level < levels(); ++level) {
        const LevelView view = this->level(level);
        for (int64_t node = 0; node < view.nodes; ++node) {
            bool ended = false;
            for (int j = 0; j < view.width; ++j) {
                const int32_t neighbour = view.lists[node * view.width + j];
                if (neighbour == -1) {
                    ended = true;
                } else if (ended || neighbour < 0 || neighbour >= view.nodes || neighbour == node) {
                    report("level " + std::to_string(level) + ", node " + std::to_string(node) + ": bad neighbour " +
                           std::to_string(neighbour));
                    break;
                }
            }
        }
    }

    std::vector<uint8_t> listed(static_cast<size_t>(rows()), 0);
    for (int32_t node = 0; node < nodes(); ++node) {
        const auto positions = positions_of(node);
        if (positions.empty()) report("node " + std::to_string(node) + " stands for no position");
        for (const int32_t position : positions) {
            if (position < 0 || position >= rows() || nodes_[position] != node ||
                listed[static_cast<size_t>(position)]++ != 0) {
                report("node " + std::to_string(node) + ": position map broken at " + std::to_string(position));
            }
        }
    }
    for (int64_t position = 0; position < rows(); ++position) {
        if (listed[static_cast<size_t>(position)] == 0) {
            report("position " + std::to_string(position) + " belongs to no node");
        }
    }

    // Every node must be reachable at level 0 from the entry point alone.
    if (nodes() > 0) {
        std::vector<uint8_t> reached(static_cast<size_t>(nodes()), 0);
        std::vector<int32_t> queue{0};
        reached[0] = 1;
        for (size_t at = 0; at < queue.size(); ++at) {
            const int32_t* list = levels_[0].list(queue[at]);
            for (int j = 0; j < levels_[0].width; ++j) {
                if (list[j] < 0 || list[j] >= nodes() || reached[static_cast<size_t>(list[j])] != 0) continue;
                reached[static_cast<size_t>(list[j])] = 1;
                queue.push_back(list[j]);
            }
        }
        if (queue.size() != static_cast<size_t>(nodes())) {
            report(std::to_string(static_cast<size_t>(nodes()) - queue.size()) + " of " + std::to_string(nodes()) +
                   " nodes are unreachable");
        }
    }
    return problems;
}

}  // namespace nearrow
