#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

#include "../builder.h"
#include "../parallel.h"
#include "../searcher.h"
#include "arrays.h"
#include "module.h"
#include "selection.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace nearrow;

namespace {

// A graph over a built or a mapped buffer, with searchers kept between calls.
class Graph {
  public:
    Graph(Buffer buffer, const Vectors& vectors)
        : built_(std::move(buffer)), vectors_(&vectors), view_(built_.bytes()) {}
    Graph(const nb::object& source, const Vectors& vectors, const char* metric) : vectors_(&vectors) {
        if (PyObject_GetBuffer(source.ptr(), &mapped_, PyBUF_SIMPLE) != 0) throw nb::python_error();
        holds_ = true;
        // Before the first byte is read: around that the system would read ahead, by small pages.
        ask_for_huge_pages(mapped_.buf, static_cast<size_t>(mapped_.len));
        vectors.expect_random_reads();
        try {
            view_ = GraphView({static_cast<const std::byte*>(mapped_.buf), static_cast<size_t>(mapped_.len)});
            if (view_.metric() != metric_from(metric)) {
                throw Corruption("graph file: it was built for another metric than " + std::string(metric) +
                                 "; rebuild it");
            }
            if (view_.rows() != vectors.rows() || static_cast<int>(view_.header().dimension) != vectors.dimension()) {
                throw Corruption("graph file: it is for " + std::to_string(view_.rows()) + " vectors of " +
                                 std::to_string(view_.header().dimension) + " dimensions, not " +
                                 std::to_string(vectors.rows()) + " of " + std::to_string(vectors.dimension()) +
                                 "; rebuild it");
            }
        } catch (...) {
            PyBuffer_Release(&mapped_);
            throw;
        }
    }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    ~Graph() {
        if (holds_) PyBuffer_Release(&mapped_);
    }

    const GraphView& view() const { return view_; }
    const Vectors& vectors() const { return *vectors_; }
    std::span<const std::byte> bytes() const {
        return holds_ ? std::span<const std::byte>(static_cast<const std::byte*>(mapped_.buf), view_.header().length)
                      : built_.bytes();
    }

    std::unique_ptr<Searcher> borrow() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!idle_.empty()) {
                std::unique_ptr<Searcher> searcher = std::move(idle_.back());
                idle_.pop_back();
                return searcher;
            }
        }
        return std::make_unique<Searcher>(view_, *vectors_);
    }
    void give_back(std::unique_ptr<Searcher> searcher) {
        const std::lock_guard<std::mutex> lock(mutex_);
        idle_.push_back(std::move(searcher));
    }

  private:
    Buffer built_;
    Py_buffer mapped_{};
    bool holds_ = false;
    const Vectors* vectors_;
    GraphView view_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Searcher>> idle_;
};

int beam_of(const GraphView& view, std::optional<int64_t> ef, double target, int64_t k) {
    if (k < 1) throw std::invalid_argument("k must be at least 1");
    if (!ef.has_value()) return beam_for(view, target, k);
    if (*ef < 1) throw std::invalid_argument("ef_search must be at least 1");
    return static_cast<int>(std::min<int64_t>(*ef, 0x3FFFFFFF));
}

AcceptBits bits_of(const Selection* selection, const Graph& graph) {
    if (selection == nullptr) return {};
    if (&selection->graph() != &graph.view()) throw std::invalid_argument("the selection belongs to another graph");
    return selection->bits();
}

struct Answers {
    NumpyEmpty positions{"int64"};
    NumpyEmpty distances{"float32"};
};

nb::tuple search_one(const Answers& answers, Graph& graph, nb::handle vector, int64_t k, std::optional<int64_t> ef,
                     double target, const Selection* selection) {
    const OneQuery query(vector);
    check_dimension(query.size(), graph.vectors().dimension());
    const int beam = beam_of(graph.view(), ef, target, k);
    const AcceptBits bits = bits_of(selection, graph);
    const auto width = static_cast<size_t>(std::min<int64_t>(k, graph.view().rows()));
    auto [positions, rows] = answers.positions.make<int64_t>(width);
    auto [distances, near] = answers.distances.make<float>(width);
    int64_t found = 0;
    {
        const nb::gil_scoped_release release;
        std::unique_ptr<Searcher> searcher = graph.borrow();
        found = searcher->search(query.data(), k, beam, bits, rows, near);
        graph.give_back(std::move(searcher));
    }
    if (found < 0) refuse_query();
    if (static_cast<size_t>(found) == width) return nb::make_tuple(positions, distances);
    const nb::slice part{nb::none(), nb::int_(found), nb::none()};
    return nb::make_tuple(positions[part], distances[part]);
}

constexpr size_t kCounters = 4;

std::unique_ptr<Selection> make_selection(const Graph& graph, Bits accept, std::optional<int64_t> count, int depth) {
    if (depth < 0 || depth > static_cast<int>(Depth::sketch)) throw std::invalid_argument("depth must be from 0 to 2");
    return std::make_unique<Selection>(graph.view(), std::move(accept), count, static_cast<Depth>(depth));
}

nb::tuple search_many(Graph& graph, const Queries& queries, int64_t k, std::optional<int64_t> ef, double target,
                      const Selection* selection, int threads, int way) {
    check_dimension(queries.shape(1), graph.vectors().dimension());
    const int beam = beam_of(graph.view(), ef, target, k);
    const AcceptBits bits = bits_of(selection, graph);
    if (way < 0 || way > static_cast<int>(Way::sketch) || way == static_cast<int>(Way::exact))
        throw std::invalid_argument("way must be 0 to 3, or 5");
    if (way == static_cast<int>(Way::sketch) && bits.sketch == nullptr)
        throw std::invalid_argument("there is no sketch of this selection");
    const size_t n = queries.shape(0);
    const auto width = static_cast<size_t>(std::min<int64_t>(k, graph.view().rows()));
    Output<int64_t> positions(n * width);
    Output<float> distances(n * width);
    Output<int32_t> counts(n);
    Output<int64_t> counters(n * kCounters);
    std::atomic<bool> refused{false};
    {
        const nb::gil_scoped_release release;
        Team team(static_cast<int>(
            std::min<int64_t>(resolve_threads(threads), std::max<int64_t>(1, static_cast<int64_t>(n)))));
        team.each(static_cast<int64_t>(n), 16, [&](int, int64_t begin, int64_t end) {
            std::unique_ptr<Searcher> searcher = graph.borrow();
            for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                int64_t* to = positions.data + i * width;
                float* far = distances.data + i * width;
                searcher->counters = {};
                int64_t found = searcher->search(queries.data() + i * queries.shape(1), k, beam, bits, to, far,
                                                 static_cast<Way>(way));
                if (found < 0) {
                    refused = true;
                    found = 0;
                }
                counts.data[i] = static_cast<int32_t>(found);
                std::fill(to + found, to + width, -1);
                std::fill(far + found, far + width, INFINITY);
                const WalkCounters& counted = searcher->counters;
                const int64_t row[kCounters] = {counted.hops, counted.distances, counted.reranked, counted.way};
                std::copy(row, row + kCounters, counters.data + kCounters * i);
            }
            graph.give_back(std::move(searcher));
        });
    }
    if (refused) refuse_query();
    return nb::make_tuple(positions.array({n, width}), distances.array({n, width}), counts.array({n}),
                          counters.array({n, kCounters}));
}

// Runs Python's signal handlers and the progress callback between batches, at most every 50 ms.
std::function<bool(int64_t, int64_t)> progress_from(const nb::object& callback) {
    auto last = std::chrono::steady_clock::now() - std::chrono::seconds(1);
    return [last, callback](int64_t done, int64_t total) mutable {
        const auto now = std::chrono::steady_clock::now();
        if (done != total && now - last < std::chrono::milliseconds(50)) return true;
        last = now;
        const nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        return callback.is_none() || nb::cast<bool>(callback(done, total));
    };
}

BuildOptions options_from(int m, int ef_construction, std::optional<double> ml, int codes, int threads, uint64_t seed,
                          const nb::object& progress) {
    if (m < 2 || m > 512) throw std::invalid_argument("m must be between 2 and 512");
    if (ef_construction < 1) throw std::invalid_argument("ef_construction must be at least 1");
    if (ml.has_value() && !(*ml > 0.0)) throw std::invalid_argument("ml must be positive, or None for 1/ln(m)");
    return {m, ef_construction, ml.value_or(0.0), codes, threads, seed, progress_from(progress)};
}

std::unique_ptr<Graph> build(const Vectors& vectors, const char* metric, int m, int ef_construction,
                             std::optional<double> ml, int codes, int threads, uint64_t seed,
                             const nb::object& progress) {
    const BuildOptions options = options_from(m, ef_construction, ml, codes, threads, seed, progress);
    const Metric kind = metric_from(metric);
    const nb::gil_scoped_release release;
    return std::make_unique<Graph>(build_graph(vectors, kind, options), vectors);
}

using Map = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::unique_ptr<Graph> merge(const Graph& old, const Vectors& vectors, const Map& positions, int codes, int threads,
                             uint64_t seed, const nb::object& progress) {
    const GraphHeader& header = old.view().header();
    if (static_cast<int64_t>(positions.shape(0)) != old.view().rows()) {
        throw std::invalid_argument("positions has " + std::to_string(positions.shape(0)) + " entries for " +
                                    std::to_string(old.view().rows()) + " rows of the graph");
    }
    if (vectors.dimension() != static_cast<int>(header.dimension)) {
        throw std::invalid_argument("the vectors have " + std::to_string(vectors.dimension()) +
                                    " dimensions, the graph " + std::to_string(header.dimension));
    }
    const BuildOptions options = options_from(static_cast<int>(header.m), static_cast<int>(header.ef_construction),
                                              header.ml, codes, threads, seed, progress);
    const Reuse reuse{&old.view(), {positions.data(), positions.shape(0)}};
    const nb::gil_scoped_release release;
    return std::make_unique<Graph>(build_graph(vectors, old.view().metric(), options, reuse), vectors);
}

nb::dict stats(const Graph& graph) {
    const GraphHeader& header = graph.view().header();
    nb::dict out;
    out["rows"] = header.rows;
    out["nodes"] = header.nodes;
    out["levels"] = header.levels;
    out["m"] = header.m;
    out["width"] = header.width;
    out["ef_construction"] = header.ef_construction;
    out["ml"] = header.ml;
    out["seed"] = header.seed;
    out["codes"] = header.code_kind;
    out["bytes"] = header.length;
    out["walk_bytes_per_node"] = graph.view().walk_bytes_per_node();
    nb::list curve;
    for (const CurvePoint& point : graph.view().curve()) {
        curve.append(nb::make_tuple(point.ef, point.recall1, point.recall10, point.recall100));
    }
    out["curve"] = curve;
    return out;
}

}  // namespace

void bind_graph(nb::module_& module) {
    static const Answers answers;
    module.def("crossovers", [] {
        const Crossovers& limits = crossovers();
        return nb::make_tuple(limits.scan_rows, limits.scan_beams, limits.sketch_beams, limits.walk_through);
    });
    nb::class_<Selection>(module, "Selection", "Which rows of a graph a search may return.")
        .def_prop_ro("has_sketch", &Selection::has_sketch)
        .def_prop_ro("nbytes", &Selection::nbytes);
    nb::class_<Graph>(module, "Graph", "A graph over vectors, in the form of its file.")
        .def(nb::init<const nb::object&, const Vectors&, const char*>(), "buffer"_a, "vectors"_a, "metric"_a,
             nb::keep_alive<1, 3>())
        .def_static("build", &build, "vectors"_a, "metric"_a, "m"_a, "ef_construction"_a, "ml"_a.none(), "codes"_a,
                    "threads"_a, "seed"_a, "progress"_a.none(), nb::keep_alive<0, 1>())
        .def("merge", &merge, "vectors"_a, "positions"_a, "codes"_a, "threads"_a, "seed"_a, "progress"_a.none(),
             nb::keep_alive<0, 2>())
        .def(
            "search_one",
            [](Graph& graph, nb::handle query, int64_t k, std::optional<int64_t> ef, double target,
               const Selection* selection) { return search_one(answers, graph, query, k, ef, target, selection); },
            "query"_a, "k"_a, "ef_search"_a = nb::none(), "target_recall"_a = 0.95, "selection"_a = nb::none())
        .def("search_many", &search_many, "queries"_a, "k"_a, "ef"_a.none(), "target"_a, "selection"_a.none(),
             "threads"_a, "way"_a = 0)
        .def("select", &make_selection, "accept"_a, "count"_a.none(), "depth"_a, nb::keep_alive<0, 1>())
        .def(
            "beam_for", [](const Graph& graph, double target, int64_t k) { return beam_for(graph.view(), target, k); },
            "target"_a, "k"_a)
        .def("check",
             [](const Graph& graph) {
                 const nb::gil_scoped_release release;
                 return graph.view().check();
             })
        .def("stats", &stats)
        .def("address", [](const Graph& graph) { return reinterpret_cast<uintptr_t>(graph.bytes().data()); })
        .def_prop_ro("nbytes", [](const Graph& graph) { return graph.bytes().size(); });
}
