#include "recall_curve.h"

#include <algorithm>

#include "norms.h"
#include "searcher.h"

namespace nearrow {
namespace {

constexpr int kBeams[kCurveMax] = {6, 8, 10, 13, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512};
constexpr int kWide = 96;         // beyond this beam half of the queries do: what they miss is little and costs most
constexpr int kHundred = 32;      // the narrowest beam at which a hundred neighbours are asked for
constexpr int kTruth = 100;       // neighbours known exactly per query
constexpr int kTruthPool = 192;   // the nearest by 8-bit codes, from which they are chosen
constexpr int32_t kBlock = 2048;  // nodes scanned by all queries of a group while they are in the cache

struct Sample {
    std::vector<float> query;
    std::vector<int64_t> truth;
};

void load_query(const Vectors& vectors, int64_t position, std::vector<float>& out) {
    out.resize(static_cast<size_t>(vectors.dimension()));
    const void* row = vectors.row(position);
    if (vectors.element() == Element::float16) {
        simd().widen_f16(row, vectors.dimension(), out.data());
    } else {
        std::memcpy(out.data(), row, vectors.row_bytes());
    }
}

// The true neighbours of samples [begin, end): scanned on 8-bit codes, then measured exactly.
void find_truth(const CurveInput& input, std::vector<Sample>& samples, int64_t begin, int64_t end) {
    const float* norms = input.rows->norms.empty() ? nullptr : input.rows->norms.data();
    const float unit = unit_key(input.book->step, true);
    const auto n = static_cast<size_t>(end - begin);
    std::vector<CodeQuery> queries(n);
    std::vector<Pool> pools(n);
    ExactScorer exact(*input.vectors, input.metric);
    for (size_t i = 0; i < n; ++i) {
        exact.set_query(samples[static_cast<size_t>(begin) + i].query.data());
        queries[i].prepare(*input.book, exact.padded_query(), exact.query_norm());
        pools[i].reset(kTruthPool);
    }
    std::vector<int32_t> nodes(kBlock);
    std::vector<int32_t> keys(kBlock);
    for (int32_t at = 0; at < input.shown; at += kBlock) {
        const int32_t size = std::min(kBlock, input.shown - at);
        for (int32_t j = 0; j < size; ++j) nodes[static_cast<size_t>(j)] = at + j;
        for (size_t i = 0; i < n; ++i) {
            eight_bit_scan(input.rows->codes, queries[i].eight())(nodes.data(), size, Fetched::none, keys.data());
            if (norms != nullptr) scale_by_norms(norms, 1.0F, 0, unit, nodes.data(), size, keys.data());
            int32_t worst = pools[i].full() ? pool_key(pools[i].worst()) : 0x7FFFFFFF;
            for (int32_t j = 0; j < size; ++j) {
                if (keys[static_cast<size_t>(j)] > worst) continue;
                pools[i].insert(pool_entry(keys[static_cast<size_t>(j)], at + j));
                if (pools[i].full()) worst = pool_key(pools[i].worst());
            }
        }
    }
    std::vector<std::pair<uint32_t, int64_t>> hits;
    for (size_t i = 0; i < n; ++i) {
        Sample& sample = samples[static_cast<size_t>(begin) + i];
        exact.set_query(sample.query.data());
        hits.clear();
        for (int j = 0; j < pools[i].size(); ++j) {
            const int64_t position = (*input.leader)[static_cast<size_t>(pool_node(pools[i].data()[j]))];
            hits.emplace_back(sortable(exact.distance(position)), position);
        }
        std::sort(hits.begin(), hits.end());
        for (size_t j = 0; j < hits.size() && j < kTruth; ++j) sample.truth.push_back(hits[j].second);
    }
}

int64_t common(const std::vector<int64_t>& truth, const int64_t* found, int64_t n) {
    int64_t count = 0;
    const auto end =
        truth.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(truth.size(), static_cast<size_t>(n)));
    for (int64_t i = 0; i < n; ++i) count += std::find(truth.begin(), end, found[i]) != end ? 1 : 0;
    return count;
}

std::vector<CurvePoint> run(const CurveInput& input, const GraphView& graph, const std::vector<Sample>& samples,
                            Team& team) {
    std::vector<CurvePoint> points;
    std::vector<int64_t> ones(samples.size());
    std::vector<int64_t> tens(samples.size());
    std::vector<int64_t> hundreds(samples.size());
    for (const int beam : kBeams) {
        const size_t asked = beam > kWide ? (samples.size() + 1) / 2 : samples.size();
        team.each(static_cast<int64_t>(asked), 4, [&](int, int64_t begin, int64_t end) {
            Searcher searcher(graph, *input.vectors);
            int64_t positions[kTruth];
            float distances[kTruth];
            for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                const Sample& sample = samples[i];
                searcher.search(sample.query.data(), 10, beam, {}, positions, distances);
                ones[i] = common(sample.truth, positions, 1);
                tens[i] = common(sample.truth, positions, 10);
                if (beam < kHundred) continue;
                searcher.search(sample.query.data(), kTruth, beam, {}, positions, distances);
                hundreds[i] = common(sample.truth, positions, kTruth);
            }
        });
        CurvePoint point{static_cast<float>(beam), 0.0F, 0.0F, 0.0F};
        for (size_t i = 0; i < asked; ++i) {
            point.recall1 += static_cast<float>(ones[i]);
            point.recall10 += static_cast<float>(tens[i]) / 10.0F;
            point.recall100 += static_cast<float>(hundreds[i]) / 100.0F;
        }
        const auto n = static_cast<float>(asked);
        points.push_back({point.ef, point.recall1 / n, point.recall10 / n, point.recall100 / n});
    }
    return points;
}

}  // namespace

CurveResult measure_curve(const CurveInput& input, Team& team) {
    std::vector<Sample> samples;
    for (size_t node = static_cast<size_t>(input.shown); node < input.leader->size(); ++node) {
        Sample sample;
        load_query(*input.vectors, (*input.leader)[node], sample.query);
        samples.push_back(std::move(sample));
    }
    // Groups read the codes once for all of their queries, but every thread should have the same number of them.
    const auto group = std::clamp<int64_t>(static_cast<int64_t>(samples.size()) / (4 * team.size()), 4, 32);
    team.each(static_cast<int64_t>(samples.size()), group,
              [&](int, int64_t begin, int64_t end) { find_truth(input, samples, begin, end); });

    std::vector<LevelView> levels;
    for (const Layer& layer : *input.layers) levels.push_back(layer.view());
    const auto measure = [&](CodeKind kind) {
        const GraphView graph(*input.book, input.rows->codes, kind, levels, input.vectors->rows(), input.leader->data(),
                              input.rows->norms.data());
        return CurveResult{kind, run(input, graph, samples, team)};
    };
    if (input.codes_wanted == 0) return measure(CodeKind::none);
    if (input.codes_wanted == 8) return measure(CodeKind::eight);
    CurveResult four = measure(CodeKind::four);
    // Four bits unless eight reach clearly higher: on every real set tried four is faster up to recall .99 and beyond.
    if (input.codes_wanted == 4 || four.points.back().recall10 >= 0.998F) return four;
    CurveResult eight = measure(CodeKind::eight);
    return eight.points.back().recall10 > four.points.back().recall10 + 0.002F ? eight : four;
}

}  // namespace nearrow
