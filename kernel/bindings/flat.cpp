#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "../flat_scan.h"
#include "../parallel.h"
#include "arrays.h"
#include "module.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace nearrow;

namespace {

nb::tuple search(const Vectors& vectors, const char* metric, const Queries& queries, int64_t k,
                 const std::optional<Bits>& accept, int threads) {
    check_dimension(queries.shape(1), vectors.dimension());
    if (k < 1) throw std::invalid_argument("k must be at least 1");
    const AcceptBits bits = accept_bits(accept, std::nullopt, vectors.rows());
    const size_t n = queries.shape(0);
    const auto width = static_cast<size_t>(std::min<int64_t>(k, vectors.rows()));
    Output<int64_t> positions(n * width);
    Output<float> distances(n * width);
    Output<int32_t> counts(n);
    std::atomic<bool> refused{false};
    const Metric kind = metric_from(metric);
    {
        const nb::gil_scoped_release release;
        Team team(static_cast<int>(
            std::min<int64_t>(resolve_threads(threads), std::max<int64_t>(1, static_cast<int64_t>(n)))));
        team.each(static_cast<int64_t>(n), 1, [&](int, int64_t begin, int64_t end) {
            ExactScorer scorer(vectors, kind);
            for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                if (!scorer.set_query(queries.data() + i * queries.shape(1))) {
                    refused = true;
                    continue;
                }
                int64_t* to = positions.data + i * width;
                float* far = distances.data + i * width;
                const int64_t found = flat_search(vectors, scorer, k, bits, to, far);
                counts.data[i] = static_cast<int32_t>(found);
                std::fill(to + found, to + width, -1);
                std::fill(far + found, far + width, INFINITY);
            }
        });
    }
    if (refused) refuse_query();
    return nb::make_tuple(positions.array({n, width}), distances.array({n, width}), counts.array({n}));
}

nb::tuple range(const Vectors& vectors, const char* metric, const Query& query, float radius,
                const std::optional<Bits>& accept) {
    check_dimension(query.shape(0), vectors.dimension());
    const AcceptBits bits = accept_bits(accept, std::nullopt, vectors.rows());
    std::vector<std::pair<float, int64_t>> hits;
    const Metric kind = metric_from(metric);
    bool sound = true;
    {
        const nb::gil_scoped_release release;
        ExactScorer scorer(vectors, kind);
        sound = scorer.set_query(query.data());
        if (sound) hits = flat_range(vectors, scorer, radius, bits);
    }
    if (!sound) refuse_query();
    Output<int64_t> positions(hits.size());
    Output<float> distances(hits.size());
    for (size_t i = 0; i < hits.size(); ++i) {
        distances.data[i] = hits[i].first;
        positions.data[i] = hits[i].second;
    }
    return nb::make_tuple(positions.array({hits.size()}), distances.array({hits.size()}));
}

using Positions = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::object distances_of(const Vectors& vectors, const char* metric, const Query& query, const Positions& positions) {
    check_dimension(query.shape(0), vectors.dimension());
    ExactScorer scorer(vectors, metric_from(metric));
    if (!scorer.set_query(query.data())) refuse_query();
    const size_t n = positions.shape(0);
    Output<float> out(n);
    for (size_t i = 0; i < n; ++i) {
        const int64_t position = positions.data()[i];
        if (position < 0 || position >= vectors.rows()) throw std::invalid_argument("a position is out of range");
        out.data[i] = scorer.distance(position);
    }
    return nb::cast(out.array({n}));
}

}  // namespace

void bind_flat(nb::module_& module) {
    module.def("flat_search", &search, "vectors"_a, "metric"_a, "queries"_a, "k"_a, "accept"_a = nb::none(),
               "threads"_a = 1);
    module.def("flat_range", &range, "vectors"_a, "metric"_a, "query"_a, "radius"_a, "accept"_a = nb::none());
    module.def("exact_distances", &distances_of, "vectors"_a, "metric"_a, "query"_a, "positions"_a);
}
