// Smoke: does everything that the kernel does run clean under a sanitizer? Build, search, filter, merge, damage, in
// threads.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <thread>

#include "builder.h"
#include "flat_scan.h"
#include "rows.h"
#include "searcher.h"
#include "string_match.h"

using namespace nearrow;
using namespace nearrow::testing;

namespace {

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
}

double search_all(const GraphView& graph, const Vectors& vectors, const std::vector<float>& queries,
                  const AcceptBits& accept) {
    Searcher searcher(graph, vectors);
    ExactScorer exact(vectors, graph.metric());
    int64_t found[10];
    int64_t truth[10];
    float near[10];
    float nearest[10];
    int64_t hits = 0;
    int64_t wanted = 0;
    const auto dimension = static_cast<size_t>(vectors.dimension());
    std::vector<uint8_t> by_node(static_cast<size_t>(graph.nodes() + 7) / 8, 0);
    std::unique_ptr<Sketch> sketch;
    if (accept.data != nullptr) {
        node_bits(graph, accept, by_node.data());
        if (can_sketch(graph, accept.count)) sketch = std::make_unique<Sketch>(graph, by_node.data());
    }
    for (size_t at = 0; at < queries.size(); at += dimension) {
        const int64_t n = searcher.search(queries.data() + at, 10, 80, accept, found, near);
        exact.set_query(queries.data() + at);
        const int64_t m = flat_search(vectors, exact, 10, accept, truth, nearest);
        require(n == m, "min(k, accepted) hits");
        for (const Way way : {Way::scan, Way::through, Way::two_hops, Way::sketch}) {
            if (accept.data == nullptr || (way == Way::sketch && sketch == nullptr)) break;
            const AcceptBits both{accept.data, accept.count, by_node.data(), sketch.get()};
            int64_t other[10];
            float distances[10];
            require(searcher.search(queries.data() + at, 10, 80, both, other, distances, way) == m,
                    "any way fills its answer");
            for (int64_t i = 0; i < m; ++i) require(accept.test(other[i]), "only accepted rows, any way");
        }
        for (int64_t i = 0; i < n; ++i) {
            require(accept.test(found[i]), "only accepted rows");
            hits += near[i] <= nearest[n - 1] ? 1 : 0;
        }
        wanted += n;
    }
    return wanted == 0 ? 1.0 : static_cast<double>(hits) / static_cast<double>(wanted);
}

void build_and_search(Metric metric, int dimension, int codes) {
    const int64_t rows = 1050;
    const std::vector<float> values = draw_rows(rows, dimension, 1);
    const std::vector<float> queries = draw_rows(15, dimension, 2);
    const Vectors vectors = view_rows(values, dimension);
    BuildOptions options;
    options.threads = 2;
    options.codes = codes;
    const Buffer buffer = build_graph(vectors, metric, options);
    options.threads = 1;
    const Buffer again = build_graph(vectors, metric, options);
    require(
        buffer.size() == again.size() && std::memcmp(buffer.bytes().data(), again.bytes().data(), buffer.size()) == 0,
        "the same graph for any number of threads");
    const GraphView graph(buffer.bytes());
    require(graph.check().empty(), "a sound graph");
    require(search_all(graph, vectors, queries, {}) > 0.8, "recall");
    for (const int64_t step : {2, 9, 400}) {
        std::vector<uint8_t> bits(static_cast<size_t>(rows + 7) / 8, 0);
        for (int64_t i = 0; i < rows; i += step)
            bits[static_cast<size_t>(i >> 3)] |= static_cast<uint8_t>(1 << (i & 7));
        require(search_all(graph, vectors, queries, {bits.data(), count_bits(bits.data(), rows)}) > 0.8,
                "filtered recall");
    }
    std::vector<std::thread> readers;
    for (int t = 0; t < 3; ++t) readers.emplace_back([&] { search_all(graph, vectors, queries, {}); });
    for (std::thread& reader : readers) reader.join();

    // A third is dropped, some come.
    std::vector<float> merged;
    std::vector<int32_t> places(static_cast<size_t>(rows), -1);
    const auto width = static_cast<size_t>(dimension);
    for (int64_t i = 0; i < rows; ++i) {
        if (i % 3 == 0) continue;
        places[static_cast<size_t>(i)] = static_cast<int32_t>(merged.size() / width);
        merged.insert(merged.end(), values.begin() + i * dimension, values.begin() + (i + 1) * dimension);
    }
    const std::vector<float> more = draw_rows(300, dimension, 3);
    merged.insert(merged.end(), more.begin(), more.end());
    const Vectors joined = view_rows(merged, dimension);
    options.threads = 2;
    const Buffer extended = build_graph(joined, metric, options, {&graph, places});
    const GraphView second(extended.bytes());
    require(second.check().empty(), "a sound graph after a merge");
    require(search_all(second, joined, queries, {}) > 0.8, "recall after a merge");
}

void search_damaged() {
    const std::vector<float> values = draw_rows(700, 20, 1);
    const Vectors vectors = view_rows(values, 20);
    BuildOptions options;
    options.threads = 1;
    options.codes = 4;
    const Buffer good = build_graph(vectors, Metric::dot, options);
    for (uint64_t turn = 0; turn < 10; ++turn) {
        Buffer bad(good.size());
        std::memcpy(bad.data(), good.bytes().data(), good.size());
        for (uint64_t i = 0; i < 3000; ++i) {
            const uint64_t random = mix(turn * 100000 + i);
            bad.data()[kPage + random % (good.size() - kPage)] = static_cast<std::byte>(random >> 56);
        }
        const GraphView graph(bad.bytes());
        search_all(graph, vectors, std::vector<float>(values.begin(), values.begin() + 40 * 20), {});
        require(!graph.check().empty(), "damage is found");
    }
}

// Strings at random places, some outside of the data; every byte beside it is poisoned.
void match_strings() {
    const std::vector<std::string_view> words = {
        "", "a", "ab", "abcdefgh", "abcdefghi", "abcdefghabcdefgh", "abcdefghabcdefghx", "q"};
    for (uint64_t turn = 0; turn < 3000; ++turn) {
        std::vector<char> data;
        std::vector<uint32_t> offsets = {0};
        for (uint64_t i = 0; i < turn % 13; ++i) {
            const std::string_view word = words[mix(turn * 31 + i) % words.size()];
            data.insert(data.end(), word.begin(), word.end());
            offsets.push_back(static_cast<uint32_t>(data.size()));
        }
        const bool damaged = turn % 3 == 0;
        if (damaged)
            offsets[mix(turn) % offsets.size()] = static_cast<uint32_t>(mix(turn + 7) >> (mix(turn + 9) % 33 + 31));
        const size_t rows = offsets.size() - 1;
        std::vector<uint8_t> bits((rows + 7) / 8);
        for (const size_t wanted : {size_t{1}, size_t{3}, words.size()}) {
            const StringSet set{std::span<const std::string_view>{words}.last(wanted)};
            set.match(std::as_bytes(std::span(offsets)), false, std::as_bytes(std::span(data)), rows, bits);
            for (size_t row = 0; row < rows && !damaged; ++row) {
                const std::string_view at(data.data() + offsets[row], offsets[row + 1] - offsets[row]);
                const bool expected =
                    std::find(words.end() - static_cast<std::ptrdiff_t>(wanted), words.end(), at) != words.end();
                require((bits[row >> 3] >> (row & 7) & 1) == (expected ? 1 : 0),
                        "strings are found by their whole value");
            }
        }
    }
}

}  // namespace

// With the argument "quick" only the best instruction set runs and damage is left out: ThreadSanitizer is slow, and
// threads do the same there.
int main(int count, char** arguments) {
    const bool quick = count > 1 && std::strcmp(arguments[1], "quick") == 0;
    for (const char* set : {"best", "avx2", "scalar"}) {
        const bool best = std::strcmp(set, "best") == 0;
        if (!best && (quick || !force_simd(set))) continue;
        build_and_search(Metric::cosine, 37, 4);
        if (!quick) build_and_search(Metric::dot, 130, 8);
        if (best && !quick) build_and_search(Metric::l2, 20, 0);
        std::printf("%s: fine\n", simd().name);
        std::fflush(stdout);
    }
    if (quick) return 0;
    match_strings();
    std::printf("strings: fine\n");
    search_damaged();
    std::printf("damage: fine\n");
    return 0;
}
