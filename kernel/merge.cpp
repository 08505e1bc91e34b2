#include "merge.h"

#include <algorithm>

namespace nearrow {

std::vector<int32_t> kept_leaders(const Reuse& reuse, const std::vector<int32_t>& first) {
    const GraphView& old = *reuse.graph;
    std::vector<int32_t> leaders(static_cast<size_t>(old.nodes()), kGone);
    std::vector<uint8_t> taken(first.size(), 0);
    for (int32_t node = 0; node < old.nodes(); ++node) {
        for (const int32_t position : old.positions_of(node)) {
            if (position < 0 || position >= old.rows())
                throw Corruption("graph file: a position is out of range; rebuild the graph");
            const int32_t now = reuse.positions[static_cast<size_t>(position)];
            if (now < 0) continue;
            if (now >= static_cast<int32_t>(first.size()))
                throw std::invalid_argument("a new position lies beyond the vectors");
            const int32_t leader = first[static_cast<size_t>(now)];
            if (taken[static_cast<size_t>(leader)] != 0) continue;
            taken[static_cast<size_t>(leader)] = 1;
            leaders[static_cast<size_t>(node)] = leader;
            break;
        }
    }
    return leaders;
}

int level_of_old(const GraphView& graph, int32_t node) {
    int level = 0;
    while (level + 1 < graph.levels() && node < graph.level(level + 1).nodes) ++level;
    return level;
}

void carry_links(const GraphView& old, const std::vector<int32_t>& place, const BuildRows& rows, const LinkRule& rule,
                 std::vector<Layer>& layers, Grower& grower, Team& team) {
    const auto now = [&](int32_t node, const LevelView& level) {
        return node >= 0 && node < level.nodes ? place[static_cast<size_t>(node)] : kGone;
    };
    std::vector<Linker> linkers(static_cast<size_t>(team.size()), Linker(rows, rule, false));
    for (int at = 0; at < std::min(old.levels(), static_cast<int>(layers.size())); ++at) {
        const LevelView level = old.level(at);
        Layer& layer = layers[static_cast<size_t>(at)];
        std::vector<uint8_t>& present = grower.present(at);
        team.each(level.nodes, 256, [&](int thread, int64_t begin, int64_t end) {
            Linker& linker = linkers[static_cast<size_t>(thread)];
            std::vector<int32_t> pool;
            std::vector<uint64_t> candidates;
            std::vector<int32_t> chosen;
            for (auto node = static_cast<int32_t>(begin); node < end; ++node) {
                const int32_t self = place[static_cast<size_t>(node)];
                if (self == kGone) continue;
                present[static_cast<size_t>(self)] = 1;
                const int32_t* list = level.list(node);
                pool.clear();
                int live = 0;
                int before = 0;
                for (int j = 0; j < level.width; ++j) {
                    if (list[j] < 0 || list[j] >= level.nodes) continue;
                    ++before;
                    if (now(list[j], level) == kGone) continue;
                    pool.push_back(now(list[j], level));
                    ++live;
                }
                if (live == before && live <= layer.limit) {
                    layer.set(self, pool.data(), live);
                    continue;
                }
                for (int j = 0; j < level.width; ++j) {
                    if (list[j] < 0 || list[j] >= level.nodes || now(list[j], level) != kGone) continue;
                    const int32_t* beyond = level.list(list[j]);
                    for (int i = 0; i < level.width; ++i) {
                        const int32_t other = now(beyond[i], level);
                        if (other != kGone && other != self) pool.push_back(other);
                    }
                }
                std::sort(pool.begin(), pool.end());
                pool.erase(std::unique(pool.begin(), pool.end()), pool.end());
                linker.prune(self, pool.data(), static_cast<int>(pool.size()), layer.limit, chosen);
                linker.scorer().set(self);
                linker.measure(self, pool.data(), static_cast<int>(pool.size()), candidates);
                // Pruning may be too strict around a hole: never below half of what the node had.
                for (size_t i = 0; i < candidates.size() && static_cast<int>(chosen.size()) < (before + 1) / 2; ++i) {
                    const int32_t other = pool_node(candidates[i]);
                    if (std::find(chosen.begin(), chosen.end(), other) == chosen.end()) chosen.push_back(other);
                }
                layer.set(self, chosen.data(), static_cast<int>(chosen.size()));
            }
        });
    }
}

}  // namespace nearrow
