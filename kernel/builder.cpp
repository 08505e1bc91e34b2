#include "builder.h"

#include <algorithm>
#include <cmath>

#include "duplicates.h"
#include "graph_writer.h"
#include "grower.h"
#include "random.h"
#include "recall_curve.h"

namespace nearrow {
namespace {

constexpr size_t kTrainingRows = 2048;

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

}  // namespace

Buffer build_graph(const Vectors& vectors, Metric metric, const BuildOptions& options) {
    const int64_t rows = vectors.rows();
    if (rows > 0x3FFFFFFF) throw std::invalid_argument("a graph holds at most 1,073,741,823 rows; split the data into segments");
    Team team(resolve_threads(options.threads));
    const double ml = options.ml > 0.0 ? options.ml : 1.0 / std::log(std::max(2, options.m));
    const auto report = [&](int64_t done) {
        if (options.progress && !options.progress(done, rows)) throw Cancelled("the build was cancelled");
    };
    report(0);

    // 1. One node per distinct row, higher levels first, random within a level: a level is a prefix of the node ids.
    const std::vector<int32_t> first = first_of_equal_rows(vectors, team);
    struct Draw {
        int level;
        uint64_t order;
        int32_t position;
    };
    std::vector<Draw> draws;
    for (int32_t position = 0; position < rows; ++position) {
        if (first[static_cast<size_t>(position)] != position) continue;
        const uint64_t order = mix(mix(options.seed + 1) ^ mix(static_cast<uint64_t>(position) + (uint64_t{1} << 40)));
        draws.push_back({draw_level(options.seed, position, ml), order, position});
    }
    std::sort(draws.begin(), draws.end(), [](const Draw& a, const Draw& b) {
        return a.level != b.level ? a.level > b.level : a.order != b.order ? a.order < b.order : a.position < b.position;
    });
    const auto nodes = static_cast<int32_t>(draws.size());
    std::vector<int32_t> leader(static_cast<size_t>(nodes));
    for (size_t i = 0; i < leader.size(); ++i) leader[i] = draws[i].position;

    // 2. Codes.
    const Codebook book = train_codebook(vectors, metric, spread_sample(rows, kTrainingRows));
    const auto plane = static_cast<size_t>(row_bytes(book.shape));
    std::vector<uint8_t> high(static_cast<size_t>(nodes) * plane + 64);
    std::vector<uint8_t> low(static_cast<size_t>(nodes) * plane + 64);
    BuildRows build{{high.data(), plane, low.data(), plane, book.shape}, {}};
    std::vector<double> squares(metric == Metric::dot ? static_cast<size_t>(nodes) : 0);
    team.each(nodes, 256, [&](int, int64_t begin, int64_t end) {
        Encoder encoder(vectors, book);
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
            pack_planes(book.shape, encoder.encode(leader[i]), high.data() + i * plane, low.data() + i * plane);
            if (metric == Metric::dot) squares[i] = encoder.square();
        }
    });
    if (metric == Metric::dot && nodes > 0) {
        const double largest = *std::max_element(squares.begin(), squares.end());
        for (const double square : squares) {
            build.extra.push_back(static_cast<float>(std::sqrt(std::max(0.0, largest - square)) / static_cast<double>(book.step)));
        }
    }

    // 3. Layers, from the top down; the last nodes of level 0 wait, as held-out queries for the recall curve.
    std::vector<Layer> layers;
    const int levels = nodes == 0 ? 1 : draws[0].level + 1;
    for (int level = 0; level < levels; ++level) {
        const auto above = std::partition_point(draws.begin(), draws.end(), [&](const Draw& draw) { return draw.level >= level; });
        const auto count = static_cast<int32_t>(above - draws.begin());
        const int limit = level == 0 ? 2 * options.m : options.m;
        layers.emplace_back(count, limit, limit + limit / 2, std::max(1, level == 0 ? options.m * 3 / 2 : options.m));
    }
    GrowOptions grow;
    grow.ef = std::max(options.ef_construction, 2);
    Grower grower(build, layers, grow, team);
    std::vector<int32_t> ids(static_cast<size_t>(nodes));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
    for (int level = levels - 1; level > 0; --level) {
        grower.insert(level, ids.data(), layers[static_cast<size_t>(level)].nodes, [&](int64_t) { report(0); });
        grower.trim(level);
    }
    const int32_t held_out = nodes >= 1000 ? std::min(256, nodes / 20) : 0;
    const int32_t shown = nodes - held_out;
    grower.insert(0, ids.data(), shown, [&](int64_t done) { report(done); });
    CurveResult curve;
    curve.kind = options.codes == 0 ? CodeKind::none : options.codes == 8 ? CodeKind::eight : CodeKind::four;
    if (held_out > 0) {
        const CurveInput input{&vectors, metric, &book, &build.codes, &layers, &leader, shown, options.codes};
        curve = measure_curve(input, team);
    } else if (options.codes < 0) {
        curve.kind = CodeKind::eight;
    }
    report(shown);
    grower.insert(0, ids.data() + shown, held_out, [&](int64_t done) { report(shown + done); });
    grower.trim(0);
    grower.connect_orphans();

    // 4. The file.
    GraphParts parts{metric, curve.kind, &book, &build.codes, &layers, nullptr, &leader, rows, curve.points};
    std::vector<std::vector<int32_t>> positions;
    if (nodes != rows) {
        std::vector<int32_t> node_of(static_cast<size_t>(rows), -1);
        for (size_t i = 0; i < leader.size(); ++i) node_of[static_cast<size_t>(leader[i])] = static_cast<int32_t>(i);
        positions.resize(static_cast<size_t>(nodes));
        for (int32_t position = 0; position < rows; ++position) {
            const int32_t node = node_of[static_cast<size_t>(first[static_cast<size_t>(position)])];
            positions[static_cast<size_t>(node)].push_back(position);
        }
        parts.positions = &positions;
    }
    Buffer buffer = write_graph(parts, options, ml, team);
    report(rows);
    return buffer;
}

}  // namespace nearrow
