// Duplicates: which rows are byte for byte the same, and so share one node?
//
// Many copies of one vector would fill each other's neighbour lists and cut the graph into islands.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel.h"
#include "vectors.h"

namespace nearrow {

// For each position the first position that holds the same bytes.
std::vector<int32_t> first_of_equal_rows(const Vectors& vectors, Team& team);

}  // namespace nearrow
