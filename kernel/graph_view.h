// Graph view: what lies where in a graph file, and is it safe to walk?
//
// One page of header, then page-aligned arrays used in place. docs/formats/graph.md gives the byte table. Opening
// checks the header only; the walk checks every id that it reads, so damaged arrays give poor answers, never a crash.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "codes.h"
#include "vectors.h"

namespace nearrow {

// Bytes are not what was written.
struct Corruption : std::runtime_error {
    using std::runtime_error::runtime_error;
};
// Written by a newer version.
struct Incompatible : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr uint32_t kGraphVersion = 1;
constexpr uint32_t kSomeCoded = 1;   // a flag: not all dimensions have codes
constexpr uint32_t kSpacedRows = 2;  // a flag: rows of codes are farther apart than they are long
constexpr size_t kPage = 4096;
constexpr int kLevelsMax = 16;
constexpr int kCurveMax = 16;

enum class CodeKind : uint32_t { none = 0, four = 4, eight = 8 };

enum Section : int {
    kOrigin,     // float32[c], c the dimensions that have codes; with kSomeCoded followed by int32[c]: which these are
    kHigh,       // high nibbles by node; with 8-bit walks both planes side by side
    kLow,        // low nibbles by node; with 8-bit walks empty
    kLists,      // int32[nodes][width]: neighbours at level 0, −1 after the last
    kLayers,     // int32[level_nodes][m] for level 1, 2, …
    kPositions,  // int32[rows]: positions grouped by node
    kStarts,     // int32[nodes + 1]: where each node's positions start; empty when every node has one
    kNodes,      // int32[rows]: position → node
    kNorms,      // float32[nodes], dot only: the row's norm as a share of the longest
    kSections
};

struct CurvePoint {
    float ef;
    float recall1;
    float recall10;
    float recall100;
};

struct GraphHeader {
    char magic[8];
    uint32_t version;
    uint32_t header_crc;  // CRC-32C of the page with this field zero
    uint32_t flags;       // unknown bits are refused
    uint32_t metric;
    uint32_t code_kind;
    uint32_t dimension;
    uint32_t m;
    uint32_t width;
    uint32_t ef_construction;
    uint32_t levels;  // including level 0
    uint64_t seed;
    uint64_t rows;
    uint64_t nodes;
    uint64_t length;  // of the whole graph, in bytes
    uint64_t digest;  // of everything after the header
    double ml;
    float step;
    uint32_t curve_points;
    uint64_t level_nodes[kLevelsMax];  // nodes at this level or above: ids 0 … level_nodes[l] − 1
    struct {
        uint64_t offset;
        uint64_t length;
    } sections[kSections];
    CurvePoint curve[kCurveMax];
    uint32_t coded;   // with kSomeCoded: how many dimensions have codes
    uint32_t stride;  // with kSpacedRows: bytes from one row of codes to the next
};
static_assert(sizeof(GraphHeader) < kPage);

struct LevelView {
    const int32_t* lists;
    int width;
    int32_t nodes;

    const int32_t* list(int32_t node) const { return lists + static_cast<int64_t>(node) * width; }
};

// Immutable; any number of threads may read it. REQUIRES: the buffer outlives the view.
class GraphView {
  public:
    GraphView() = default;
    // Throws Corruption or Incompatible. Reads the header only.
    explicit GraphView(std::span<const std::byte> buffer);

    // A graph that is still being built: level lists as they stand, one position per node.
    GraphView(const Codebook& book, const CodeRows& codes, CodeKind kind, std::span<const LevelView> levels,
              int64_t rows, const int32_t* positions, const float* norms);

    const GraphHeader& header() const { return header_; }
    Metric metric() const { return static_cast<Metric>(header_.metric); }
    CodeKind code_kind() const { return static_cast<CodeKind>(header_.code_kind); }
    int32_t nodes() const { return static_cast<int32_t>(header_.nodes); }
    int64_t rows() const { return static_cast<int64_t>(header_.rows); }
    const Codebook& codebook() const { return codebook_; }
    const CodeRows& codes() const { return codes_; }
    LevelView level(int level) const { return levels_[static_cast<size_t>(level)]; }
    int levels() const { return static_cast<int>(header_.levels); }
    std::span<const CurvePoint> curve() const { return {header_.curve, header_.curve_points}; }

    // The positions that a node stands for. Empty when the arrays are damaged there.
    std::span<const int32_t> positions_of(int32_t node) const {
        if (starts_ == nullptr) return {positions_ + node, 1};
        const int64_t begin = starts_[node];
        const int64_t end = starts_[node + 1];
        if (begin < 0 || end < begin || end > rows()) return {};
        return {positions_ + begin, static_cast<size_t>(end - begin)};
    }
    // −1 when damaged. REQUIRES: 0 <= position < rows().
    int32_t node_of(int64_t position) const {
        const int32_t node = nodes_[position];
        return node >= 0 && node < nodes() ? node : -1;
    }
    const float* norms() const { return norms_; }
    bool has_duplicates() const { return starts_ != nullptr; }
    int64_t walk_bytes_per_node() const {
        return static_cast<int64_t>(code_kind() == CodeKind::none ? 0 : codes_.high_stride) +
               4 * static_cast<int64_t>(header_.width);
    }

    // The full audit: digest, bounds, mutual maps, reachability. An empty list means sound.
    std::vector<std::string> check() const;

  private:
    const std::byte* section(Section section, uint64_t expected) const;
    void read_codebook();

    std::span<const std::byte> buffer_;
    GraphHeader header_{};
    Codebook codebook_;
    CodeRows codes_{};
    std::array<LevelView, kLevelsMax> levels_{};
    const int32_t* positions_ = nullptr;
    const int32_t* starts_ = nullptr;
    const int32_t* nodes_ = nullptr;
    const float* norms_ = nullptr;
};

uint32_t crc32c(const std::byte* data, size_t bytes);
uint64_t digest_of(std::span<const std::byte> data);

}  // namespace nearrow
