#include "grower.h"

#include <algorithm>

namespace nearrow {
namespace {

constexpr int64_t kSmall =
    64;  // nodes of a batch, up to which sharing side work between threads costs more than it saves
constexpr int kFewByDirection = 4;  // how much narrower the beam may be that looks for the few links by direction

}  // namespace

Grower::Grower(const BuildRows& rows, std::vector<Layer>& layers, const GrowOptions& options, Team& team)
    : rows_(&rows), layers_(&layers), options_(options), team_(&team) {
    for (int t = 0; t < team.size(); ++t) {
        workers_.push_back({Linker(rows, options.rule, options.eight), {}, {}, {}, {}, {}, {}});
    }
    for (const Layer& layer : layers) present_.emplace_back(static_cast<size_t>(layer.nodes), static_cast<uint8_t>(0));
    first_.assign(layers.size(), -1);
}

int32_t Grower::enter(Worker& worker, int level, int top, int32_t entry) {
    const auto level_at = [this](int above) { return (*layers_)[static_cast<size_t>(above)].view(); };
    return descend(level_at, top, level + 1, worker.linker.scorer(), entry, worker.scratch, worker.counters);
}

void Grower::sort_by_place(int level, const int32_t* nodes, int64_t n) {
    batch_.resize(static_cast<size_t>(n));
    const int top = static_cast<int>(layers_->size()) - 1;
    const int lowest = level + 1;  // of the levels above; the walk goes down this one itself
    for (int64_t i = 0; i < n; ++i) batch_[static_cast<size_t>(i)] = {0, nodes[i], 0, top};
    if (n <= kSmall || top <= lowest) return;
    team_->each(n, 32, [&](int thread, int64_t begin, int64_t end) {
        Worker& worker = workers_[static_cast<size_t>(thread)];
        worker.linker.scorer().use_products(false);
        for (int64_t i = begin; i < end; ++i) {
            Arrival& arrival = batch_[static_cast<size_t>(i)];
            worker.linker.scorer().set(arrival.node);
            // A level holds a sixteenth of the one below: cells of two levels are fine enough, and large enough to pay.
            const int coarse = std::min(lowest + 1, top);
            const int32_t outer = enter(worker, coarse, top, 0);
            arrival.entry = enter(worker, lowest, coarse, outer);
            arrival.level = lowest;
            arrival.cell =
                (static_cast<uint64_t>(static_cast<uint32_t>(outer)) << 32) | static_cast<uint32_t>(arrival.entry);
        }
        worker.linker.scorer().use_products(true);
    });
    std::sort(batch_.begin(), batch_.end());
}

int32_t Grower::linked(int level, int32_t entry) const {
    const auto at = static_cast<size_t>(level);
    return present_[at][static_cast<size_t>(entry)] != 0 ? entry : first_[at];
}

void Grower::take(Worker& worker, const Pool& pool, int32_t node) const {
    worker.candidates.clear();
    for (int i = 0; i < pool.size() && static_cast<int>(worker.candidates.size()) < options_.candidates; ++i) {
        const uint64_t candidate = pool.data()[i] & ~uint64_t{1};
        if (pool_node(candidate) != node) worker.candidates.push_back(candidate);
    }
}

void Grower::find_links(Worker& worker, int level, const Arrival& arrival, int32_t* out) {
    const Layer& layer = (*layers_)[static_cast<size_t>(level)];
    const int select = layer.select;
    const int top = static_cast<int>(layers_->size()) - 1;
    Linker& linker = worker.linker;
    linker.scorer().set(arrival.node);
    worker.chosen.clear();
    if (rows_->norms.empty()) {
        const int32_t entry = linked(level, enter(worker, level, arrival.level, arrival.entry));
        walk(layer.view(), linker.scorer(), &entry, 1, {options_.ef, options_.ef}, worker.scratch, worker.counters);
        take(worker, worker.scratch.pool, arrival.node);
        linker.extend(worker.candidates, Keys::distances, select, worker.chosen);
    } else {
        int32_t entries[2];
        entries[0] = linked(level, enter(worker, level, top, 0));
        linker.scorer().use_products(false);
        entries[1] = linked(level, enter(worker, level, arrival.level, arrival.entry));
        linker.scorer().use_products(true);
        walk_both(layer.view(), linker.scorer(), entries, entries[0] == entries[1] ? 1 : 2,
                  {options_.ef, std::max(options_.ef / kFewByDirection, 1)}, worker.both, worker.counters);
        take(worker, worker.both.by_product, arrival.node);
        linker.extend(worker.candidates, Keys::products, Linker::by_product(select), worker.chosen);
        take(worker, worker.both.by_direction, arrival.node);
        linker.extend(worker.candidates, Keys::distances, select, worker.chosen);
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
        sort_by_place(level, nodes + done, batch);
        team_->each(batch, std::clamp<int64_t>(batch / (team_->size() * 16), 4, 64),
                    [&](int thread, int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i) {
                            find_links(workers_[static_cast<size_t>(thread)], level, batch_[static_cast<size_t>(i)],
                                       links.data() + static_cast<size_t>(i) * width);
                        }
                    });
        // Each thread owns blocks of targets, whatever their number: the edges of one target are always handled
        // together.
        const int threads = batch <= kSmall ? 1 : team_->size();
        const auto share = [&](const auto& task) {
            if (threads == 1) return task(0);
            team_->run(task);
        };
        const auto owner = [&](int32_t target) {
            return static_cast<int>((static_cast<uint32_t>(target) >> 6) % static_cast<uint32_t>(threads));
        };
        std::vector<size_t> totals(static_cast<size_t>(threads), 0);
        share([&](int thread) {
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
        share([&](int thread) {
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
                edges[at] = {target, batch_[i / width].node, 0};
            }
            for (int64_t i = thread; i < batch; i += threads) {
                const int32_t* chosen = links.data() + static_cast<size_t>(i) * width;
                int degree = 0;
                while (degree < layer.select && chosen[degree] >= 0) ++degree;
                layer.set(batch_[static_cast<size_t>(i)].node, chosen, degree);
                present[static_cast<size_t>(batch_[static_cast<size_t>(i)].node)] = 1;
            }
        });
        for (int owned = 1; owned < threads; ++owned) {
            const std::vector<int32_t>& more = touched[static_cast<size_t>(owned)];
            touched[0].insert(touched[0].end(), more.begin(), more.end());
        }
        const std::vector<int32_t>& targets = touched[0];
        team_->each(static_cast<int64_t>(targets.size()), 16, [&](int thread, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int32_t target = targets[static_cast<size_t>(i)];
                const auto at = static_cast<size_t>(target);
                link_back(workers_[static_cast<size_t>(thread)], layer, target, edges.data() + offsets[at],
                          static_cast<size_t>(counts[at]));
                counts[at] = 0;
            }
        });
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
        walk(layer.view(), scorer, &entry, 1, {options_.ef, options_.ef}, worker.scratch, worker.counters);
        bool attached = false;
        for (int i = 0; i < worker.scratch.pool.size() && !attached; ++i) {
            attached = attach(orphan, pool_node(worker.scratch.pool.data()[i]));
        }
        // A node reached last has no dependants yet: it always has room.
        for (size_t i = queue.size(); i-- > 0 && !attached;) attached = attach(orphan, queue[i]);
    }
}

}  // namespace nearrow
