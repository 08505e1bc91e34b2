#include "grower.h"

#include <algorithm>

namespace nearrow {

Grower::Grower(const BuildRows& rows, std::vector<Layer>& layers, const GrowOptions& options, Team& team)
    : rows_(&rows), layers_(&layers), options_(options), team_(&team) {
    for (int t = 0; t < team.size(); ++t) {
        workers_.push_back({Linker(rows, options.alpha, options.eight), {}, {}, {}, {}, {}});
    }
    for (const Layer& layer : layers) present_.emplace_back(static_cast<size_t>(layer.nodes), static_cast<uint8_t>(0));
    first_.assign(layers.size(), -1);
}

void Grower::find_candidates(Worker& worker, int level, int32_t node) {
    RowScorer& scorer = worker.linker.scorer();
    int32_t entry = 0;
    for (int above = static_cast<int>(layers_->size()) - 1; above > level; --above) {
        entry = descend((*layers_)[static_cast<size_t>(above)].view(), scorer, entry, worker.scratch, worker.counters);
    }
    if (present_[static_cast<size_t>(level)][static_cast<size_t>(entry)] == 0)
        entry = first_[static_cast<size_t>(level)];
    walk((*layers_)[static_cast<size_t>(level)].view(), scorer, &entry, 1, options_.ef, worker.scratch,
         worker.counters);
    Pool& pool = worker.scratch.pool;
    worker.candidates.clear();
    for (int i = 0; i < pool.size(); ++i) {
        const uint64_t candidate = pool.data()[i] & ~uint64_t{1};
        if (pool_node(candidate) != node) worker.candidates.push_back(candidate);
    }
}

void Grower::find_links(Worker& worker, int level, int32_t node, int32_t* out) {
    const int select = (*layers_)[static_cast<size_t>(level)].select;
    worker.linker.scorer().set(node);
    find_candidates(worker, level, node);
    worker.chosen.clear();
    if (rows_->norms.empty()) {
        worker.linker.extend(worker.candidates, select, worker.chosen);
    } else {
        worker.linker.extend(worker.candidates, select / 2, worker.chosen);
        worker.linker.use_products(false);
        find_candidates(worker, level, node);
        worker.linker.extend(worker.candidates, select, worker.chosen);
        worker.linker.use_products(true);
    }
    for (int j = 0; j < select; ++j) {
        out[j] = j < static_cast<int>(worker.chosen.size()) ? worker.chosen[static_cast<size_t>(j)] : -1;
    }
}

void Grower::link_back(Worker& worker, Layer& layer, int32_t target, Edge* edges, size_t n) {
    std::sort(edges, edges + n, [](const Edge& a, const Edge& b) { return a.source < b.source; });
    const int degree = layer.degree(target);
    int32_t* list = layer.list(target);
    worker.merged.assign(list, list + degree);
    for (size_t i = 0; i < n; ++i) {
        if (std::find(list, list + degree, edges[i].source) == list + degree) worker.merged.push_back(edges[i].source);
    }
    if (static_cast<int>(worker.merged.size()) <= layer.capacity) {
        layer.set(target, worker.merged.data(), static_cast<int>(worker.merged.size()));
        return;
    }
    worker.linker.prune(target, worker.merged.data(), static_cast<int>(worker.merged.size()), layer.limit,
                        worker.chosen);
    layer.set(target, worker.chosen.data(), static_cast<int>(worker.chosen.size()));
}

void Grower::insert(int level, const int32_t* nodes, int64_t n, const std::function<void(int64_t)>& after) {
    Layer& layer = (*layers_)[static_cast<size_t>(level)];
    std::vector<uint8_t>& present = present_[static_cast<size_t>(level)];
    int64_t linked = std::count(present.begin(), present.end(), static_cast<uint8_t>(1));
    int64_t done = 0;
    int32_t& first = first_[static_cast<size_t>(level)];
    if (first < 0 && linked > 0)
        first = static_cast<int32_t>(std::find(present.begin(), present.end(), 1) - present.begin());
    if (first < 0 && n > 0) {
        first = nodes[0];
        present[static_cast<size_t>(first)] = 1;
        linked = done = 1;
    }
    std::vector<int32_t> links;
    std::vector<Edge> edges;
    std::vector<std::vector<int32_t>> touched(static_cast<size_t>(team_->size()));
    std::vector<int32_t> counts(static_cast<size_t>(layer.nodes), 0);
    std::vector<int32_t> offsets(static_cast<size_t>(layer.nodes), 0);
    const auto width = static_cast<size_t>(layer.select);
    while (done < n) {
        // Nodes of one batch do not see each other, so a batch stays small beside what is linked already.
        const int64_t total = linked + n - done;
        const int64_t batch =
            std::min(n - done, std::clamp<int64_t>(linked / 16, 1, std::max<int64_t>(total / 64, 64)));
        links.resize(static_cast<size_t>(batch) * width);
        team_->each(batch, 4, [&](int thread, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                find_links(workers_[static_cast<size_t>(thread)], level, nodes[done + i],
                           links.data() + static_cast<size_t>(i) * width);
            }
        });
        // Each thread owns blocks of targets, whatever their number: the edges of one target are always handled
        // together.
        const int threads = team_->size();
        const auto owner = [&](int32_t target) {
            return static_cast<int>((static_cast<uint32_t>(target) >> 6) % static_cast<uint32_t>(threads));
        };
        std::vector<size_t> totals(static_cast<size_t>(threads), 0);
        team_->run([&](int thread) {
            std::vector<int32_t>& mine = touched[static_cast<size_t>(thread)];
            mine.clear();
            size_t sum = 0;
            for (const int32_t target : links) {
                if (target < 0 || owner(target) != thread) continue;
                if (counts[static_cast<size_t>(target)]++ == 0) mine.push_back(target);
                ++sum;
            }
            totals[static_cast<size_t>(thread)] = sum;
        });
        size_t sum = 0;
        for (size_t& value : totals) {
            const size_t own = value;
            value = sum;
            sum += own;
        }
        edges.resize(sum);
        team_->run([&](int thread) {
            size_t next = totals[static_cast<size_t>(thread)];
            for (const int32_t target : touched[static_cast<size_t>(thread)]) {
                offsets[static_cast<size_t>(target)] = static_cast<int32_t>(next);
                next += static_cast<size_t>(counts[static_cast<size_t>(target)]);
                counts[static_cast<size_t>(target)] = 0;
            }
            for (size_t i = 0; i < links.size(); ++i) {
                const int32_t target = links[i];
                if (target < 0 || owner(target) != thread) continue;
                const auto at =
                    static_cast<size_t>(offsets[static_cast<size_t>(target)] + counts[static_cast<size_t>(target)]++);
                edges[at] = {target, nodes[done + static_cast<int64_t>(i / width)], 0};
            }
            for (int64_t i = thread; i < batch; i += threads) {
                const int32_t* chosen = links.data() + static_cast<size_t>(i) * width;
                int degree = 0;
                while (degree < layer.select && chosen[degree] >= 0) ++degree;
                layer.set(nodes[done + i], chosen, degree);
                present[static_cast<size_t>(nodes[done + i])] = 1;
            }
        });
        for (int owned = 0; owned < threads; ++owned) {
            const std::vector<int32_t>& targets = touched[static_cast<size_t>(owned)];
            team_->each(static_cast<int64_t>(targets.size()), 16, [&](int thread, int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    const int32_t target = targets[static_cast<size_t>(i)];
                    const auto at = static_cast<size_t>(target);
                    link_back(workers_[static_cast<size_t>(thread)], layer, target, edges.data() + offsets[at],
                              static_cast<size_t>(counts[at]));
                    counts[at] = 0;
                }
            });
        }
        done += batch;
        linked += batch;
        if (after) after(done);
    }
}

void Grower::trim(int level) {
    Layer& layer = (*layers_)[static_cast<size_t>(level)];
    team_->each(layer.nodes, 256, [&](int thread, int64_t begin, int64_t end) {
        Worker& worker = workers_[static_cast<size_t>(thread)];
        for (int64_t i = begin; i < end; ++i) {
            const auto node = static_cast<int32_t>(i);
            if (layer.degree(node) <= layer.limit) continue;
            worker.linker.prune(node, layer.list(node), layer.degree(node), layer.limit, worker.chosen);
            layer.set(node, worker.chosen.data(), static_cast<int>(worker.chosen.size()));
        }
    });
}

void Grower::connect_orphans(int level) {
    Layer& layer = (*layers_)[static_cast<size_t>(level)];
    if (layer.nodes == 0) return;
    // The tree by which each node was first reached: its edges must stay.
    std::vector<int32_t> parents(static_cast<size_t>(layer.nodes), -1);
    std::vector<int32_t> queue{0};
    parents[0] = 0;
    size_t at = 0;
    const auto spread = [&] {
        for (; at < queue.size(); ++at) {
            const int32_t* list = layer.list(queue[at]);
            for (int j = 0; j < layer.degree(queue[at]); ++j) {
                if (parents[static_cast<size_t>(list[j])] >= 0) continue;
                parents[static_cast<size_t>(list[j])] = queue[at];
                queue.push_back(list[j]);
            }
        }
    };
    spread();
    Worker& worker = workers_[0];
    const auto attach = [&](int32_t orphan, int32_t to) {
        if (to == orphan || parents[static_cast<size_t>(to)] < 0) return false;
        int32_t* list = layer.list(to);
        int slot = layer.degree(to);
        if (slot >= layer.limit) {
            // The farthest link that no node depends on for being reached makes room.
            slot = layer.limit - 1;
            while (slot >= 0 && parents[static_cast<size_t>(list[slot])] == to) --slot;
            if (slot < 0) return false;
        } else {
            layer.degrees[static_cast<size_t>(to)]++;
        }
        list[slot] = orphan;
        parents[static_cast<size_t>(orphan)] = to;
        queue.push_back(orphan);
        spread();
        return true;
    };
    for (int32_t orphan = 0; orphan < layer.nodes; ++orphan) {
        if (parents[static_cast<size_t>(orphan)] >= 0) continue;
        const int32_t entry = 0;
        RowScorer& scorer = worker.linker.scorer();
        scorer.set(orphan);
        walk(layer.view(), scorer, &entry, 1, options_.ef, worker.scratch, worker.counters);
        bool attached = false;
        for (int i = 0; i < worker.scratch.pool.size() && !attached; ++i) {
            attached = attach(orphan, pool_node(worker.scratch.pool.data()[i]));
        }
        // A node reached last has no dependants yet: it always has room.
        for (size_t i = queue.size(); i-- > 0 && !attached;) attached = attach(orphan, queue[i]);
    }
}

}  // namespace nearrow
