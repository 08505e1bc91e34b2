// Recall curve: which beam gives which recall? Measured on rows that are not in the graph yet.
#pragma once

#include <cstdint>
#include <vector>

#include "codes.h"
#include "graph_view.h"
#include "layer.h"
#include "linker.h"
#include "parallel.h"
#include "vectors.h"

namespace nearrow {

struct CurveInput {
    const Vectors* vectors;
    Metric metric;
    const Codebook* book;
    const BuildRows* rows;
    const std::vector<Layer>* layers;
    const std::vector<int32_t>* leader;  // build node → position
    int32_t shown;                       // nodes linked so far; the others are the queries
    int codes_wanted;                    // as in BuildOptions
};

struct CurveResult {
    CodeKind kind = CodeKind::four;
    std::vector<CurvePoint> points;
};

CurveResult measure_curve(const CurveInput& input, Team& team);

}  // namespace nearrow
