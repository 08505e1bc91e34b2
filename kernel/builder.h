// Builder: how does a set of vectors become a graph? Batch-synchronous insertion on codes, the same for any thread
// count.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <vector>

#include "buffer.h"
#include "graph_view.h"
#include "vectors.h"

namespace nearrow {

struct BuildOptions {
    int m = 16;
    int ef_construction = 80;
    double ml = 0.0;  // 0: 1 / ln(m)
    int codes = -1;   // −1: by measured recall; 0: walk on the vectors; 4; 8
    int threads = 0;  // 0: all
    uint64_t seed = 0;
    // Called between batches with the rows done and in all; returns false to stop. Called on the calling thread.
    std::function<bool(int64_t, int64_t)> progress;
};

// The build was stopped by its progress callback.
struct Cancelled : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// An older graph whose links are kept: where each of its rows lies now, −1 when it is gone.
struct Reuse {
    const GraphView* graph = nullptr;
    std::span<const int32_t> positions;
};

// The graph of all rows, in the file's own form. With `reuse`, rows of the older graph keep their links, gaps that lost
// rows leave are closed, and only the other rows are inserted; when most rows are new, all are built afresh.
Buffer build_graph(const Vectors& vectors, Metric metric, const BuildOptions& options, const Reuse& reuse = {});

}  // namespace nearrow
