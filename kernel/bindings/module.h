// Module: which parts make up nearrow._kernel? Bindings convert, release the GIL, and call; nothing else.
#pragma once

#include <nanobind/nanobind.h>

#include "../graph_view.h"
#include "../vectors.h"

void bind_vectors(nanobind::module_& module);
void bind_graph(nanobind::module_& module);
void bind_flat(nanobind::module_& module);
void bind_id_table(nanobind::module_& module);
void bind_string_match(nanobind::module_& module);
void bind_columns(nanobind::module_& module);

namespace nearrow {

Metric metric_from(const char* name);

}  // namespace nearrow
