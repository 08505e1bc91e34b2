// Packed hits: how does the answer to one plain search lie in bytes? As docs/protocol.md says of the compact form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "id_table.h"

namespace nearrow {

// The bytes that one query's hits take. ids: as `IdColumn::bytes` gives them.
std::size_t packed_hits_bytes(IdKind kind, std::span<const std::string_view> ids) noexcept;

// Writes them. row_number: of the last hit, for the cursor.
// REQUIRES: as many distances as ids, and `out` of `packed_hits_bytes`.
void pack_hits(IdKind kind, std::span<const std::string_view> ids, const float* distances, std::uint64_t row_number,
               char* out) noexcept;

}  // namespace nearrow
