// Merge: what of an older graph can be kept, now that some of its rows are gone and others have come?
#pragma once

#include <cstdint>
#include <vector>

#include "builder.h"
#include "grower.h"
#include "layer.h"
#include "parallel.h"

namespace nearrow {

constexpr int32_t kGone = -1;

// For each node of the older graph the leading row that stands for it now, or kGone.
std::vector<int32_t> kept_leaders(const Reuse& reuse, const std::vector<int32_t>& first);

// The level of each node of the older graph.
int level_of_old(const GraphView& graph, int32_t node);

// Copies the links among kept nodes (`place`: older node → node, or kGone) into the layers. A node that lost neighbours
// chooses anew among those left and the neighbours of the lost ones.
void carry_links(const GraphView& old, const std::vector<int32_t>& place, const BuildRows& rows, const LinkRule& rule,
                 std::vector<Layer>& layers, Grower& grower, Team& team);

}  // namespace nearrow
