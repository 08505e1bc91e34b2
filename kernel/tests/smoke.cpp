// Smoke: does everything that the kernel does run clean under a sanitizer, and give the same bits with every set of
// instructions? Build, search, filter, merge, damage, strings, in threads.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "builder.h"
#include "chunks.h"
#include "flat_scan.h"
#include "list_match.h"
#include "numbering.h"
#include "rows.h"
#include "searcher.h"
#include "sketches.h"
#include "string_match.h"
#include "string_pattern.h"

using namespace nearrow;
using namespace nearrow::testing;

namespace {

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
}

// Runs the same on some threads at once.
template <class Task>
void on_threads(int count, const Task& task) {
    std::vector<std::thread> threads;
    for (int t = 0; t < count; ++t) threads.emplace_back(task);
    for (std::thread& thread : threads) thread.join();
}

// What came out so far, in one number: two sets of instructions agree in everything if they agree in it.
class Digest {
  public:
    void add(const void* data, size_t bytes) {
        value_ = mix(value_ ^ crc32c(static_cast<const std::byte*>(data), bytes));
    }
    uint64_t value() const { return value_; }

  private:
    uint64_t value_ = 0;
};

double search_all(const GraphView& graph, const Vectors& vectors, const std::vector<float>& queries,
                  const AcceptBits& accept, Digest* digest = nullptr) {
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
        if (digest != nullptr) {
            digest->add(found, static_cast<size_t>(n) * sizeof found[0]);
            digest->add(near, static_cast<size_t>(n) * sizeof near[0]);
        }
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

void build_and_search(Metric metric, int dimension, int codes, int64_t rows, Digest& digest) {
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
    require(search_all(graph, vectors, queries, {}, &digest) > 0.8, "recall");
    digest.add(buffer.bytes().data(), buffer.size());
    for (const int64_t step : {2, 9, 400}) {
        std::vector<uint8_t> bits(static_cast<size_t>(rows + 7) / 8, 0);
        for (int64_t i = 0; i < rows; i += step)
            bits[static_cast<size_t>(i >> 3)] |= static_cast<uint8_t>(1 << (i & 7));
        const AcceptBits accept{bits.data(), count_bits(bits.data(), rows)};
        require(search_all(graph, vectors, queries, accept, &digest) > 0.8, "filtered recall");
        on_threads(2, [&] { search_all(graph, vectors, queries, accept); });
    }
    on_threads(3, [&] { search_all(graph, vectors, queries, {}); });

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
    require(search_all(second, joined, queries, {}, &digest) > 0.8, "recall after a merge");
    digest.add(extended.bytes().data(), extended.size());
}

void search_damaged(int turns) {
    const std::vector<float> values = draw_rows(700, 20, 1);
    const Vectors vectors = view_rows(values, 20);
    BuildOptions options;
    options.threads = 1;
    options.codes = 4;
    const Buffer good = build_graph(vectors, Metric::dot, options);
    for (uint64_t turn = 0; turn < static_cast<uint64_t>(turns); ++turn) {
        Buffer bad(good.size());
        std::memcpy(bad.data(), good.bytes().data(), good.size());
        for (uint64_t i = 0; i < 3000; ++i) {
            const uint64_t random = mix(turn * 100000 + i);
            bad.data()[kPage + random % (good.size() - kPage)] = static_cast<std::byte>(random >> 56);
        }
        const GraphView graph(bad.bytes());
        const std::vector<float> queries(values.begin(), values.begin() + 20 * 20);
        on_threads(2, [&] { search_all(graph, vectors, queries, {}); });
        require(!graph.check().empty(), "damage is found");
    }
}

// Strings at random places, some outside of the data; every byte beside it is poisoned.
void match_strings(int turns) {
    const std::vector<std::string_view> words = {
        "", "a", "ab", "abcdefgh", "abcdefghi", "abcdefghabcdefgh", "abcdefghabcdefghx", "q"};
    for (uint64_t turn = 0; turn < static_cast<uint64_t>(turns); ++turn) {
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
            const auto match = [&](std::span<uint8_t> out) {
                set.match(std::as_bytes(std::span(offsets)), false, std::as_bytes(std::span(data)), rows, out);
            };
            match(bits);
            if (turn % 100 == 0) {
                on_threads(2, [&] {
                    std::vector<uint8_t> own(bits.size());
                    match(own);
                    require(own == bits, "strings match alike on every thread");
                });
            }
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

// Long columns, sound and damaged ones: strings looked for and numbered, lists with a marked element.
void look_through_columns(Digest& digest) {
    const std::vector<std::string_view> words = {
        "", "a", "abcdefgh", "abcdefghi", "abcdefghabcdefg", "abcdefghabcdefgh", "abcdefghabcdefghx"};
    constexpr size_t kRows = 403;
    for (uint64_t turn = 0; turn < 40; ++turn) {
        std::vector<char> data;
        std::vector<uint32_t> offsets = {0};
        for (uint64_t i = 0; i < kRows; ++i) {
            const std::string_view word = words[mix(turn * 1000 + i) % (turn % 2 == 0 ? words.size() : 3)];
            data.insert(data.end(), word.begin(), word.end());
            offsets.push_back(static_cast<uint32_t>(data.size()));
        }
        if (turn % 4 == 3)
            offsets[mix(turn) % offsets.size()] = static_cast<uint32_t>(mix(turn + 7) >> (turn % 33 + 31));
        const auto places = std::as_bytes(std::span(offsets));
        const auto bytes = std::as_bytes(std::span(data));
        std::vector<uint8_t> bits((kRows + 7) / 8);
        for (size_t first = 0; first < words.size(); ++first) {
            for (const size_t count : {size_t{1}, size_t{3}}) {
                const StringSet set{std::span<const std::string_view>{words}.subspan(first).first(
                    std::min(count, words.size() - first))};
                set.match(places, false, bytes, kRows, bits);
                digest.add(bits.data(), bits.size());
            }
            for (const Place place : {Place::begin, Place::end, Place::anywhere}) {
                StringPattern(words[first], place).match(places, false, bytes, kRows, bits);
                digest.add(bits.data(), bits.size());
            }
        }
        StringNumbers numbering(1000);
        std::vector<uint8_t> numbers(kRows);
        require(numbering.number(places, false, bytes, {}, 0, 0, kRows, numbers.data()) == kRows, "few strings");
        digest.add(numbers.data(), numbers.size());
        digest.add(numbering.bytes().data(), numbering.bytes().size());
        std::vector<uint8_t> marks((data.size() + 7) / 8);
        for (size_t i = 0; i < marks.size(); ++i) marks[i] = static_cast<uint8_t>(mix(turn * 77 + i));
        for (const bool every : {false, true}) {
            match_lists(places, false, kRows, marks, 0, data.size(), every, bits);
            digest.add(bits.data(), bits.size());
        }
    }
}

// Columns in pieces that threads share: what they find does not depend on how many there are.
void share_columns(Digest& digest) {
    constexpr size_t kRows = 100'000;
    std::string data;
    std::vector<uint32_t> offsets = {0};
    std::vector<uint32_t> lists = {0};
    for (uint64_t i = 0; i < kRows; ++i) {
        const uint64_t kind = mix(i) % 20;
        data += "text " + std::to_string(i > kRows / 2 ? kind : kind / 2);  // some that the first piece has not
        offsets.push_back(static_cast<uint32_t>(data.size()));
        if (mix(i + 1) % 2 == 0) lists.push_back(static_cast<uint32_t>(i));
    }
    const StringChunk strings{{std::as_bytes(std::span(offsets)), false, kRows}, std::as_bytes(std::span(data))};
    const ListChunk in_lists{{std::as_bytes(std::span(lists)), false, lists.size() - 1}, strings};
    const std::vector<std::string_view> words = {"text 1", "text 17"};
    const StringSet set{words};
    const StringPattern pattern("t 1", Place::anywhere);
    uint64_t first = 0;
    for (const int threads : {1, 2, 4}) {
        Digest found;
        std::vector<uint8_t> bits((kRows + 7) / 8);
        match_chunks(set, std::span(&strings, 1), threads, bits.data());
        found.add(bits.data(), bits.size());
        match_chunks(pattern, std::span(&strings, 1), threads, bits.data());
        found.add(bits.data(), bits.size());
        match_chunks(set, std::span(&in_lists, 1), true, threads, bits.data());
        found.add(bits.data(), bits.size());
        require(all_in_order(std::span(&in_lists.offsets, 1), threads), "lists are in order");
        StringNumbers numbering(1000);
        std::vector<uint8_t> numbers(kRows);
        require(number_chunks(numbering, std::span(&strings, 1), threads, numbers.data()) == kRows, "all are numbered");
        found.add(numbers.data(), numbers.size());
        if (threads == 1) first = found.value();
        require(found.value() == first, "the same for any number of threads");
    }
    digest.add(&first, sizeof first);
}

// Half-precision rows: every half number widened, and sums over rows of every length.
void measure_halves(Digest& digest) {
    const Simd& loops = simd();
    std::vector<uint16_t> halves(65536);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    std::vector<float> wide(halves.size());
    loops.widen_f16(halves.data(), static_cast<int>(halves.size()) - 1, wide.data());
    digest.add(wide.data(), wide.size() * sizeof wide[0]);
    const std::vector<float> query = draw_rows(1, 256, 4);
    for (int dimension = 1; dimension <= 130; ++dimension) {
        std::vector<float> padded(query.begin(), query.begin() + dimension);
        padded.resize(256, 0.0F);
        const uint16_t* row = halves.data() + 37 * dimension;  // finite numbers
        double sums[3] = {loops.l2_f16(row, padded.data(), dimension)};
        loops.dot_f16(row, padded.data(), dimension, &sums[1], &sums[2]);
        digest.add(sums, sizeof sums);
    }
}

uint64_t run_set(bool races) {
    Digest digest;
    measure_halves(digest);
    look_through_columns(digest);
    share_columns(digest);
    require(score_sketches(digest), "all scores within limits are found");
    build_and_search(Metric::cosine, 37, 4, races ? 500 : 1050, digest);
    build_and_search(Metric::dot, races ? 20 : 130, 8, races ? 400 : 1050, digest);
    build_and_search(Metric::l2, 20, 0, races ? 300 : 600, digest);
    std::printf("%s: %016llx\n", simd().name, static_cast<unsigned long long>(digest.value()));
    std::fflush(stdout);
    return digest.value();
}

}  // namespace

// With the argument "races", for ThreadSanitizer: everything that threads share, on few rows and with one instruction
// set. (Each byte that the plain loops read costs a call there: all sets on all rows take minutes.)
int main(int count, char** arguments) {
    const bool races = count > 1 && std::strcmp(arguments[1], "races") == 0;
    const uint64_t expected = run_set(races);
    for (const char* set : {"avx2", "neon", "scalar"}) {
        if (races || std::strcmp(set, simd().name) == 0 || !force_simd(set)) continue;
        require(run_set(races) == expected, "the same bits with every instruction set");
    }
    match_strings(races ? 300 : 3000);
    std::printf("strings: fine\n");
    search_damaged(races ? 2 : 10);
    std::printf("damage: fine\n");
    return 0;
}
