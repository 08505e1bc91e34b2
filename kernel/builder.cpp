#include "builder.h"

#include <algorithm>
#include <cmath>

#include "duplicates.h"
#include "graph_writer.h"
#include "grower.h"
#include "merge.h"
#include "norms.h"
#include "random.h"
#include "recall_curve.h"

namespace nearrow {
namespace {

constexpr size_t kTrainingRows = 1024;

std::vector<int64_t> spread_sample(int64_t rows, size_t wanted) {
    std::vector<int64_t> sample;
    const int64_t n = std::min<int64_t>(rows, static_cast<int64_t>(wanted));
    for (int64_t i = 0; i < n; ++i) sample.push_back(i * rows / n);
    return sample;
}

// The level of a node depends on its row and the seed alone, so that it never changes.
int draw_level(uint64_t seed, int32_t position, double ml) {
    const double level = -std::log(unit(mix(seed ^ mix(static_cast<uint64_t>(position))))) * ml;
    return static_cast<int>(std::min(level, static_cast<double>(kLevelsMax - 1)));
}

// A node to be: a distinct row, its level, and the node of the older graph that it was (kGone: none).
struct Draw {
    int level;
    int32_t old;
    uint64_t order;
    int32_t position;
};

// Higher levels first, so that a level is a prefix of the node ids; kept nodes before new ones; new ones in random
// order.
std::vector<Draw> draw_nodes(const std::vector<int32_t>& first, const std::vector<int32_t>& kept, const Reuse& reuse,
                             uint64_t seed, double ml) {
    std::vector<int32_t> old_of(first.size(), kGone);
    for (size_t node = 0; node < kept.size(); ++node) {
        if (kept[node] != kGone) old_of[static_cast<size_t>(kept[node])] = static_cast<int32_t>(node);
    }
    std::vector<Draw> draws;
    for (size_t i = 0; i < first.size(); ++i) {
        const auto position = static_cast<int32_t>(i);
        if (first[i] != position) continue;
        const int32_t old = old_of[i];
        const int level = old == kGone ? draw_level(seed, position, ml) : level_of_old(*reuse.graph, old);
        draws.push_back({level, old, mix(mix(seed + 1) ^ mix(i + (uint64_t{1} << 40))), position});
    }
    std::sort(draws.begin(), draws.end(), [](const Draw& a, const Draw& b) {
        if (a.level != b.level) return a.level > b.level;
        if ((a.old == kGone) != (b.old == kGone)) return a.old != kGone;
        if (a.old != b.old) return a.old < b.old;
        return a.order != b.order ? a.order < b.order : a.position < b.position;
    });
    return draws;
}

// The codes of every node, and what pruning under dot needs besides.
class CodedRows {
  public:
    CodedRows(const Vectors& vectors, const Codebook& book, const std::vector<int32_t>& leader, Team& team) {
        const size_t stride = row_stride(static_cast<size_t>(row_bytes(book.shape)));
        high_ = Buffer(leader.size() * stride + 64);
        low_ = Buffer(leader.size() * stride + 64);
        auto* high = reinterpret_cast<uint8_t*>(high_.data());
        auto* low = reinterpret_cast<uint8_t*>(low_.data());
        rows.codes = {high, stride, low, stride, book.shape};
        std::vector<double> squares(leader.size());
        team.each(static_cast<int64_t>(leader.size()), 256, [&](int, int64_t begin, int64_t end) {
            Encoder encoder(vectors, book);
            for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                pack_planes(book.shape, encoder.encode(leader[i]), high + i * stride, low + i * stride);
                squares[i] = encoder.square();
            }
        });
        if (book.metric != Metric::dot) return;
        const double largest = leader.empty() ? 0.0 : std::sqrt(*std::max_element(squares.begin(), squares.end()));
        longest = largest > 0.0 ? static_cast<float>(largest) : 1.0F;
        for (const double square : squares)
            rows.norms.push_back(static_cast<float>(std::sqrt(square) / static_cast<double>(longest)));
        rows.unit = unit_key(book.step, false);
    }
    BuildRows rows;
    float longest = 1.0F;

  private:
    Buffer high_;
    Buffer low_;
};

std::vector<Layer> empty_layers(const std::vector<Draw>& draws, int m, Team& team) {
    std::vector<Layer> layers;
    const int levels = draws.empty() ? 1 : draws[0].level + 1;
    for (int level = 0; level < levels; ++level) {
        const auto above =
            std::partition_point(draws.begin(), draws.end(), [&](const Draw& draw) { return draw.level >= level; });
        const int limit = level == 0 ? 2 * m : m;
        layers.emplace_back(static_cast<int32_t>(above - draws.begin()), limit, limit + limit / 2,
                            std::max(1, level == 0 ? m * 3 / 2 : m), team);
    }
    return layers;
}

// Every position of every node, when some rows are equal.
std::vector<std::vector<int32_t>> group_positions(const std::vector<int32_t>& first,
                                                  const std::vector<int32_t>& leader) {
    std::vector<int32_t> node_of(first.size(), kGone);
    for (size_t i = 0; i < leader.size(); ++i) node_of[static_cast<size_t>(leader[i])] = static_cast<int32_t>(i);
    std::vector<std::vector<int32_t>> positions(leader.size());
    for (size_t position = 0; position < first.size(); ++position) {
        positions[static_cast<size_t>(node_of[static_cast<size_t>(first[position])])].push_back(
            static_cast<int32_t>(position));
    }
    return positions;
}

}  // namespace

Buffer build_graph(const Vectors& vectors, Metric metric, const BuildOptions& options, const Reuse& reuse) {
    const int64_t rows = vectors.rows();
    if (rows > 0x3FFFFFFF)
        throw std::invalid_argument("a graph holds at most 1,073,741,823 rows; split the data into segments");
    Team team(resolve_threads(options.threads));
    const double ml = options.ml > 0.0 ? options.ml : 1.0 / std::log(std::max(2, options.m));
    const auto report = [&](int64_t done) {
        if (options.progress && !options.progress(done, rows)) throw Cancelled("the build was cancelled");
    };
    report(0);

    // 1. One node per distinct row.
    const std::vector<int32_t> first = first_of_equal_rows(vectors, team);
    std::vector<int32_t> kept;
    if (reuse.graph != nullptr) {
        kept = kept_leaders(reuse, first);
        const auto n = static_cast<size_t>(
            std::count_if(kept.begin(), kept.end(), [](int32_t leader) { return leader != kGone; }));
        if (n * 2 < kept.size() || n * 2 < first.size())
            kept.clear();  // mostly gone, or mostly new: a fresh graph is better
    }
    const std::vector<Draw> draws = draw_nodes(first, kept, reuse, options.seed, ml);
    const auto nodes = static_cast<int32_t>(draws.size());
    std::vector<int32_t> leader(draws.size());
    std::vector<int32_t> place(kept.size(), kGone);
    for (size_t i = 0; i < draws.size(); ++i) {
        leader[i] = draws[i].position;
        if (draws[i].old != kGone) place[static_cast<size_t>(draws[i].old)] = static_cast<int32_t>(i);
    }

    // 2. Codes.
    const Codebook book = train_codebook(vectors, metric, spread_sample(rows, kTrainingRows), team);
    const CodedRows coded(vectors, book, leader, team);

    // 3. Layers, from the top down; the last nodes of level 0 wait, as held-out queries for the recall curve.
    std::vector<Layer> layers = empty_layers(draws, options.m, team);
    GrowOptions grow;
    grow.ef = std::max(options.ef_construction, 2);
    grow.candidates = std::max(grow.ef * 3 / 4, 2 * layers[0].select);
    // The order of products scatters candidates in all directions: fewer are in each other's way (docs/decisions).
    if (metric == Metric::dot) grow.rule = {1.2F, 1.2F};
    Grower grower(coded.rows, layers, grow, team);
    if (!kept.empty()) carry_links(*reuse.graph, place, coded.rows, grow.rule, layers, grower, team);
    std::vector<int32_t> fresh;
    for (int level = static_cast<int>(layers.size()) - 1; level >= 0; --level) {
        fresh.clear();
        for (int32_t node = 0; node < layers[static_cast<size_t>(level)].nodes; ++node) {
            if (draws[static_cast<size_t>(node)].old == kGone) fresh.push_back(node);
        }
        if (level == 0) break;
        grower.insert(level, fresh.data(), static_cast<int64_t>(fresh.size()), [&](int64_t) { report(0); });
        grower.trim(level);
        grower.connect_orphans(level);
    }
    const auto count = static_cast<int64_t>(fresh.size());
    // Held-out nodes are the last ids: new ones of level 0.
    const int32_t below = nodes - (layers.size() > 1 ? layers[1].nodes : 0);
    const auto last = static_cast<int32_t>(std::min<int64_t>(count, below));
    const int32_t wanted = nodes >= 1000 ? std::min(200, nodes / 8) : 0;
    const int32_t held_out = last >= 2 * wanted ? wanted : 0;
    grower.insert(0, fresh.data(), count - held_out, [&](int64_t done) { report(rows - count + done); });
    CurveResult curve;
    curve.kind = options.codes == 0 ? CodeKind::none : options.codes == 4 ? CodeKind::four : CodeKind::eight;
    if (held_out > 0) {
        grower.trim(0);  // searches will walk lists of this length
        curve = measure_curve({&vectors, metric, &book, &coded.rows, &layers, &leader, nodes - held_out, options.codes},
                              team);
    } else if (!kept.empty()) {
        // Too little is new to measure again: what the older graph showed still holds.
        curve.points.assign(reuse.graph->curve().begin(), reuse.graph->curve().end());
        if (options.codes < 0) curve.kind = reuse.graph->code_kind();
    }
    grower.insert(0, fresh.data() + (count - held_out), held_out,
                  [&](int64_t done) { report(rows - held_out + done); });
    grower.trim(0);
    grower.connect_orphans(0);

    // 4. The file.
    GraphParts parts{metric, curve.kind, &book, &coded.rows, &layers, nullptr, &leader, rows, curve.points};
    std::vector<std::vector<int32_t>> positions;
    if (nodes != rows) {
        positions = group_positions(first, leader);
        parts.positions = &positions;
    }
    Buffer buffer = write_graph(parts, options, ml, team);
    report(rows);
    return buffer;
}

}  // namespace nearrow
