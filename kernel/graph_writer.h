// Graph writer: how does a grown graph become the bytes of a graph file? Nodes are put in an order that keeps
// neighbours close.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "builder.h"
#include "layer.h"
#include "linker.h"
#include "parallel.h"

namespace nearrow {

struct GraphParts {
    Metric metric;
    CodeKind kind;
    const Codebook* book;
    const BuildRows* rows_coded;                         // by build node, both planes
    const std::vector<Layer>* layers;                    // trimmed to their limits
    const std::vector<std::vector<int32_t>>* positions;  // by build node; null when `single` is used
    const std::vector<int32_t>* single;                  // by build node: its only position
    int64_t rows;
    std::vector<CurvePoint> curve;
};

Buffer write_graph(const GraphParts& parts, const BuildOptions& options, double ml, Team& team);

}  // namespace nearrow
