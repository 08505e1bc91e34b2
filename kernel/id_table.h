// Id table: which row has this id?
//
// A flat, immutable hash table over ids that live elsewhere (the buffers of an Arrow column): buckets of one cache line
// hold row positions and 8-bit fingerprints, nothing is stored twice. It is used straight from the mapped file. Every
// bucket carries a checksum that every look at it verifies, and every access is bounds-checked: a damaged table is
// noticed by the search that meets the damage, and nothing crashes. Format: docs/formats/ids.md.
//
// Thread safety: everything here is immutable after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace nearrow {

enum class IdKind : std::uint32_t { string = 0, int64 = 1 };

// XXH64 of `bytes`; the same on every machine.
std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) noexcept;

// One contiguous run of ids: an Arrow array's buffers as they are. `offset` counts elements, as in Arrow.
struct IdChunk {
    std::span<const std::byte> offsets;   // string: int32 or int64 offsets
    std::span<const std::byte> values;    // string: UTF-8 bytes; int64: the numbers
    std::span<const std::byte> validity;  // empty: no nulls
    std::size_t offset = 0;
    std::size_t length = 0;
    bool wide_offsets = false;  // int64 offsets (Arrow's large_string)
};

// A column of ids in one or more chunks, by reference. The buffers must outlive it.
class IdColumn {
  public:
    IdColumn(IdKind kind, std::vector<IdChunk> chunks);

    IdKind kind() const noexcept { return kind_; }
    std::size_t size() const noexcept { return starts_.back(); }

    // The id's bytes (int64: eight little-endian ones), or nothing if it is null, out of range, or its offsets are
    // damaged.
    std::optional<std::string_view> bytes(std::size_t position) const noexcept;

    void prefetch(std::size_t position) const noexcept;

  private:
    std::pair<std::size_t, std::size_t> locate(std::size_t position) const noexcept;

    IdKind kind_;
    std::vector<IdChunk> chunks_;
    std::vector<std::size_t> starts_;  // first position of each chunk, and the total
    int shift_ = -1;                   // all chunks but the last have 2^shift rows; -1: search starts_
};

struct IdTableHeader {
    char magic[8];
    std::uint32_t version;
    std::uint32_t kind;
    std::uint64_t count;
    std::uint64_t buckets;
    std::uint64_t seed;
    std::uint64_t longest_probe;  // buckets that a search looks at, at most
    std::uint64_t reserved;
    std::uint64_t checksum;  // XXH64, seed 0, of the 56 bytes before it
};
static_assert(sizeof(IdTableHeader) == 64);

inline constexpr std::size_t id_bucket_slots = 12;

struct IdBucket {
    std::uint32_t positions[id_bucket_slots];
    std::uint8_t fingerprints[id_bucket_slots];
    std::uint8_t used;         // slots filled, from the front
    std::uint8_t checksum[3];  // low 24 bits of XXH64, seeded with the bucket's number, of the 61 bytes before it
};
static_assert(sizeof(IdBucket) == 64);

// Bytes of a table over `count` ids.
std::size_t id_table_bytes(std::size_t count) noexcept;

struct IdBuildFailure {
    std::size_t position;  // of the id that was refused
    std::optional<std::size_t>
        earlier;  // position of the same id, if it is a duplicate; else the id is null or damaged
};

// Fills `out`, of id_table_bytes(ids.size()) zeroed bytes. The same ids give the same bytes.
std::optional<IdBuildFailure> id_table_build(const IdColumn& ids, std::uint64_t seed, std::span<std::byte> out);

class IdTable {
  public:
    // What is wrong with the header or the length of `table`, or nullptr.
    static const char* problem(std::span<const std::byte> table, const IdColumn& ids) noexcept;

    // REQUIRES: problem(table, ids) == nullptr; both outlive this object.
    IdTable(std::span<const std::byte> table, const IdColumn& ids) noexcept;

    static constexpr std::int64_t missing = -1;
    static constexpr std::int64_t damaged = -2;  // a bucket on the way fails its checksum

    // Position of the id, or missing, or damaged.
    std::int64_t find(std::string_view id) const noexcept;

    // The same for all needles (null: missing); false if any answer is damaged. REQUIRES: out.size() == needles.size().
    bool find_all(const IdColumn& needles, std::span<std::int64_t> out) const noexcept;

    // Positions whose id the table does not find at that position: count and the first of them.
    std::pair<std::size_t, std::size_t> misplaced() const noexcept;

  private:
    std::size_t home(std::uint64_t hash) const noexcept;
    std::int64_t probe(std::string_view id, std::uint64_t hash) const noexcept;
    template <typename Visit>
    void find_blocks(const IdColumn& needles, Visit visit) const noexcept;

    const IdBucket* buckets_;
    std::size_t bucket_count_;
    std::size_t longest_probe_;
    std::uint64_t seed_;
    const IdColumn* ids_;
};

}  // namespace nearrow
