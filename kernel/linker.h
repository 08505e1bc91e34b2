// Linker: which of the candidates become a node's neighbours? Distances between stored codes, and the pruning rule.
#pragma once

#include <cstdint>
#include <vector>

#include "codes.h"
#include "walk.h"

namespace nearrow {

// What all threads of a build share.
struct BuildRows {
    CodeRows codes;
    // For dot: each row's norm as a share of the longest, else empty. Most of a node's links then go to the largest
    // products, a few to the nearest directions: the first lead to the long rows that win, the second keep the others
    // within reach (docs/decisions).
    std::vector<float> norms;
    float unit = 1.0F;  // squared length 1 in 4-bit key units
};

// Distances from one stored row to others. Keys of different rows are comparable with each other.
class RowScorer {
  public:
    RowScorer(const BuildRows& rows, bool eight) : rows_(&rows), eight_(eight) {}
    void set(int32_t node);
    // Asks for what `set` reads and scoring does not.
    void fetch_for_set(int32_t node) const;
    void fetch(const int32_t* batch, int from, int to) const { scan().fetch(batch, from, to); }
    // Without products a row's norm does not count.
    void use_products(bool products) { products_ = products; }
    void operator()(const int32_t* nodes, int n, Fetched fetched, int32_t* keys) const;
    // The two parts of it: distances of directions, and from them keys of products.
    void directions(const int32_t* nodes, int n, Fetched fetched, int32_t* keys) const;
    void products(const int32_t* nodes, int n, int32_t* keys) const;

  private:
    CodeScan scan() const { return {rows_->codes, eight_, eight_ ? query_.eight() : query_.four()}; }

    const BuildRows* rows_;
    bool eight_;
    bool products_ = true;
    CodeQuery query_;
    int32_t node_ = 0;
};

// When is a candidate's way through a kept link good enough to do without its own? When it is nearer to that one than
// to the node, the first distance times alpha; under dot by their directions. While links are free, those between the
// two factors are taken after all (docs/decisions).
struct LinkRule {
    float alpha = 1.05F;
    float alpha_to_fill = 1.2F;
};

// What sorted candidates are sorted by. The rule needs distances: of those sorted by products they are measured anew.
enum class Keys { distances, products };

class Linker {
  public:
    Linker(const BuildRows& rows, const LinkRule& rule, bool eight)
        : rows_(&rows), scorer_(rows, eight), pairs_(rows, eight), rule_(rule) {}

    RowScorer& scorer() { return scorer_; }
    // Of `links`, how many go by products under dot, before the rest go by directions.
    static int by_product(int links) { return links - links / 8; }
    // Prunes a node's neighbours to `limit`; under dot first by products, the rest by directions.
    void prune(int32_t node, const int32_t* nodes, int n, int limit, std::vector<int32_t>& out);
    // REQUIRES: scorer().set(node). Sorted pool entries of the nodes given, without `node` itself.
    void measure(int32_t node, const int32_t* nodes, int n, std::vector<uint64_t>& out);
    // REQUIRES: scorer().set(node), candidates sorted. Adds to `out`, until it holds `limit`, the best of them by the
    // rule: first those that no kept one makes doubtful. What `out` holds already is kept without being added again.
    void extend(const std::vector<uint64_t>& candidates, Keys keys, int limit, std::vector<int32_t>& out);

  private:
    const BuildRows* rows_;
    RowScorer scorer_;
    RowScorer pairs_;
    LinkRule rule_;
    std::vector<int32_t> nodes_;
    std::vector<int32_t> distances_;
    std::vector<int32_t> keys_;
    std::vector<uint8_t> in_doubt_;
    std::vector<uint64_t> sorted_;
};

}  // namespace nearrow
