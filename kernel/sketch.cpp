#include "sketch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace nearrow {
namespace {

constexpr int kSlots = 4;             // bits of a group
constexpr double kLimitSample = 4.0;  // scores from which the limit is guessed, for each root of the size
constexpr size_t kBins = 1024;        // of scores below a limit, to find a lower one

void score(const uint8_t* codes, const uint8_t* tables, int pairs, int64_t blocks, uint16_t* scores, uint16_t* lowest) {
    for (int64_t block = 0; block < blocks; ++block) {
        uint16_t* sums = scores + block * kSketchBlock;
        std::fill_n(sums, kSketchBlock, uint16_t{0});
        for (int group = 0; group < 2 * pairs; ++group) {
            const uint8_t* bits = codes + (block * 2 * pairs + group) * 16;
            const uint8_t* table = tables + group * 16;
            for (int j = 0; j < 16; ++j) {
                sums[j] = static_cast<uint16_t>(sums[j] + table[bits[j] & 15]);
                sums[16 + j] = static_cast<uint16_t>(sums[16 + j] + table[bits[j] >> 4]);
            }
        }
        lowest[block] = *std::min_element(sums, sums + kSketchBlock);
    }
}

int64_t select(const uint16_t* scores, const uint16_t* lowest, int64_t blocks, uint16_t first, uint16_t last,
               int32_t* out) {
    int64_t found = 0;
    for (int64_t block = 0; block < blocks; ++block) {
        if (lowest[block] > last) continue;
        for (int64_t i = block * kSketchBlock; i < (block + 1) * kSketchBlock; ++i) {
            if (scores[i] >= first && scores[i] <= last) out[found++] = static_cast<int32_t>(i);
        }
    }
    return found;
}

// The n-th lowest, from 1 on, of values that lie mostly close together; puts them into another order.
uint16_t lowest_but(std::vector<uint16_t>& values, int64_t n) {
    const uint16_t least = *std::min_element(values.begin(), values.end());
    std::array<int32_t, kBins> counts{};  // by how far above the least
    for (const uint16_t value : values) ++counts[std::min<size_t>(static_cast<size_t>(value - least), kBins - 1)];
    int64_t below = 0;
    for (size_t bin = 0; bin + 1 < kBins; ++bin) {
        below += counts[bin];
        if (below >= n) return static_cast<uint16_t>(least + bin);
    }
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

// The greatest limit below `limit` for which at least `wanted` of so many scores, none above `limit`, are left.
// REQUIRES: there are so many.
uint16_t lowered(uint16_t limit, const uint16_t* scores, const int32_t* places, int64_t found, int64_t wanted) {
    std::array<int32_t, kBins> counts{};  // by how far below the limit
    for (int64_t i = 0; i < found; ++i) {
        const auto below = static_cast<size_t>(limit - scores[places[i]]);
        ++counts[std::min(below, kBins - 1)];
    }
    for (size_t bin = 0; bin + 1 < kBins && found - counts[bin] >= wanted && limit > 0; ++bin, --limit) {
        found -= counts[bin];
    }
    return limit;
}

// Slot 2·byte + half holds the nibble `half` of that byte of a row of codes.
int dimension_of(const CodeShape& shape, int byte, int half) {
    const int block = byte / 64;
    const int within = byte % 64;
    const int bytes = block < shape.full ? 64 : shape.tail;
    const int dimension = block * 128 + within + half * bytes;
    return within < bytes && dimension < shape.dimensions ? dimension : -1;
}

}  // namespace

const SketchLoops sketch_scalar = {score, select};

const SketchLoops& sketch_loops() {
#if defined(__x86_64__)
    if (&simd() == &simd_avx512) return sketch_avx512;
    if (&simd() != &simd_scalar) return sketch_avx2;
#endif
    return sketch_scalar;
}

Sketch::Sketch(const GraphView& graph, const uint8_t* bits) : shape_(graph.codes().shape) {
    const int bytes = row_bytes(shape_);
    groups_ = (bytes / 2 + 1) / 2 * 2;  // rows are a multiple of 8 bytes; groups come in pairs
    levels_ = std::min(kSketchLevels, 65535 / std::max(groups_, 1));
    for (int32_t first = 0; first < graph.nodes(); first += 8) {
        for (unsigned byte = bits[first >> 3]; byte != 0; byte &= byte - 1) {
            const int32_t node = first + std::countr_zero(byte);
            if (node < graph.nodes()) nodes_.push_back(node);
        }
    }
    learn(graph);
    encode(graph);
}

void Sketch::learn(const GraphView& graph) {
    const auto bytes = static_cast<size_t>(row_bytes(shape_));
    const auto slots = static_cast<size_t>(groups_) * kSlots;
    thresholds_.assign(slots, 16);
    middle_.assign(slots, 0.0F);
    spread_.assign(slots, 0.0F);
    dimensions_.assign(slots, 0);
    const int64_t stride = std::max<int64_t>(1, size() / kSketchSample);
    // How often each of the 16 codes occurs in each slot, among nodes spread over all.
    std::vector<uint32_t> counts(slots * 16, 0);
    for (int64_t i = 0; i < size(); i += stride) {
        const uint8_t* row =
            graph.codes().high + static_cast<size_t>(nodes_[static_cast<size_t>(i)]) * graph.codes().high_stride;
        for (size_t byte = 0; byte < bytes; ++byte) {
            ++counts[byte * 32 + (row[byte] & 15)];
            ++counts[byte * 32 + 16 + (row[byte] >> 4)];
        }
    }
    for (size_t slot = 0; slot < 2 * bytes; ++slot) {
        const int dimension = dimension_of(shape_, static_cast<int>(slot / 2), static_cast<int>(slot % 2));
        if (dimension < 0) continue;
        dimensions_[slot] = dimension;
        const uint32_t* count = counts.data() + slot * 16;
        double all = 0.0;
        double sum = 0.0;
        for (int code = 0; code < 16; ++code) {
            all += count[code];
            sum += count[code] * code;
        }
        if (all == 0.0) continue;
        const int threshold = static_cast<int>(sum / all) + 1;
        double above = 0.0;
        double above_sum = 0.0;
        for (int code = threshold; code < 16; ++code) {
            above += count[code];
            above_sum += count[code] * code;
        }
        if (above == 0.0 || above == all) continue;
        thresholds_[slot] = static_cast<uint8_t>(threshold);
        const double high = 16.0 * above_sum / above + 7.5;
        const double low = 16.0 * (sum - above_sum) / (all - above) + 7.5;
        middle_[slot] = static_cast<float>(0.5 * (low + high));
        spread_[slot] = static_cast<float>(2.0 * (high - low));
    }
}

void Sketch::encode(const GraphView& graph) {
    const CodeRows& rows = graph.codes();
    const auto bytes = static_cast<size_t>(row_bytes(shape_));
    const auto groups = static_cast<size_t>(groups_);
    const size_t blocks = (nodes_.size() + kSketchBlock - 1) / kSketchBlock;
    codes_.assign(lines_for(blocks * groups * 16), CacheLine{});
    // Adding 16 − threshold carries into bit 4 of what lies above.
    std::vector<uint8_t> low(bytes);
    std::vector<uint8_t> high(bytes);
    for (size_t byte = 0; byte < bytes; ++byte) {
        low[byte] = static_cast<uint8_t>(16 - thresholds_[2 * byte]);
        high[byte] = static_cast<uint8_t>(16 - thresholds_[2 * byte + 1]);
    }
    std::vector<uint8_t> pairs(2 * groups);  // two bits a byte of a row
    std::vector<uint8_t> bits(groups);
    for (size_t i = 0; i < nodes_.size(); ++i) {
        const uint8_t* row = rows.high + static_cast<size_t>(nodes_[i]) * rows.high_stride;
        if (i + 4 < nodes_.size()) {
            const uint8_t* next = rows.high + static_cast<size_t>(nodes_[i + 4]) * rows.high_stride;
            for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(next + at);
        }
        for (size_t byte = 0; byte < bytes; ++byte) {
            const auto first = static_cast<uint8_t>(static_cast<uint8_t>((row[byte] & 15) + low[byte]) >> 4);
            const auto second = static_cast<uint8_t>(static_cast<uint8_t>((row[byte] >> 4) + high[byte]) >> 4);
            pairs[byte] = static_cast<uint8_t>(first | static_cast<uint8_t>(second << 1));
        }
        for (size_t group = 0; group < groups; ++group) {
            bits[group] = static_cast<uint8_t>(pairs[2 * group] | static_cast<uint8_t>(pairs[2 * group + 1] << 2));
        }
        const size_t within = i % kSketchBlock;
        uint8_t* to = codes_.data()->bytes + i / kSketchBlock * groups * 16 + within % 16;
        const int shift = within < 16 ? 0 : 4;
        for (size_t group = 0; group < groups; ++group) {
            to[group * 16] = static_cast<uint8_t>(to[group * 16] | static_cast<uint8_t>(bits[group] << shift));
        }
    }
}

// For each group the 16 sums of what its four bits add to the distance, as small integers from 0.
void Sketch::make_tables(const float* query, SketchScratch& scratch) const {
    const auto groups = static_cast<size_t>(groups_);
    std::vector<float>& differences = scratch.differences;
    differences.resize(groups * kSlots);
    // ‖q − high‖² − ‖q − low‖² = 2·(high − low)·(middle − q)
    for (size_t slot = 0; slot < differences.size(); ++slot) {
        differences[slot] = spread_[slot] * (middle_[slot] - query[dimensions_[slot]]);
    }
    float widest = 0.0F;
    for (size_t group = 0; group < groups; ++group) {
        const float* four = differences.data() + group * kSlots;
        widest = std::max(widest, std::abs(four[0]) + std::abs(four[1]) + std::abs(four[2]) + std::abs(four[3]));
    }
    scratch.tables.assign(lines_for(groups * 16), CacheLine{});
    if (!(widest > 0.0F) || !std::isfinite(widest)) return;  // all nodes are alike to this query
    const float scale = static_cast<float>(levels_) / widest;
    for (size_t group = 0; group < groups; ++group) {
        float four[kSlots];
        float lowest = 0.0F;
        for (int bit = 0; bit < kSlots; ++bit) {
            four[bit] = scale * differences[group * kSlots + static_cast<size_t>(bit)];
            lowest += std::min(four[bit], 0.0F);
        }
        const float low[4] = {0.5F - lowest, four[0] + (0.5F - lowest), four[1] + (0.5F - lowest),
                              four[0] + four[1] + (0.5F - lowest)};
        const float high[4] = {0.0F, four[2], four[3], four[2] + four[3]};
        uint8_t* table = scratch.tables.data()->bytes + group * 16;
        for (int i = 0; i < 4; ++i) {
            int32_t entries[4];
            for (int j = 0; j < 4; ++j) entries[j] = static_cast<int32_t>(low[j] + high[i]);
            for (int j = 0; j < 4; ++j) table[4 * i + j] = static_cast<uint8_t>(std::clamp(entries[j], 0, levels_));
        }
    }
}

// A score that at least `wanted` nodes do not exceed, and seldom fewer.
uint16_t Sketch::limit_for(int64_t wanted, SketchScratch& scratch) const {
    if (wanted >= size()) return 65535;
    std::vector<uint16_t>& some = scratch.some;
    const auto blocks = static_cast<int64_t>(scratch.lowest.size());
    if (2 * wanted <= blocks) {  // as many blocks have one each
        some.assign(scratch.lowest.begin(), scratch.lowest.end());
        return lowest_but(some, wanted);
    }
    const auto sampled = static_cast<int64_t>(kLimitSample * std::sqrt(static_cast<double>(size())));
    const int64_t stride = std::max<int64_t>(1, size() / sampled);  // guessed from scores spread over all
    some.clear();
    for (int64_t i = 0; i < size(); i += stride) some.push_back(scratch.scores[static_cast<size_t>(i)]);
    const auto taken = static_cast<double>(some.size());
    const double expected = static_cast<double>(wanted) * taken / static_cast<double>(size());
    const double rank = stride == 1 ? expected : expected + 2.0 * std::sqrt(expected) + 1.0;
    if (rank >= taken) return 65535;
    return lowest_but(some, static_cast<int64_t>(rank) + 1);
}

void Sketch::score(const float* query, SketchScratch& scratch) const {
    make_tables(query, scratch);
    const size_t blocks = (nodes_.size() + kSketchBlock - 1) / kSketchBlock;
    scratch.scores.resize(blocks * kSketchBlock);
    scratch.places.resize(blocks * kSketchBlock);
    scratch.lowest.reserve(blocks + kSketchBlock);  // may be read so far
    scratch.lowest.resize(blocks);
    scratch.limit = -1;
    scratch.taken = 0;
    if (blocks == 0) return;
    sketch_loops().score(codes_.data()->bytes, scratch.tables.data()->bytes, groups_ / 2, static_cast<int64_t>(blocks),
                         scratch.scores.data(), scratch.lowest.data());
    // The last block is filled up with nobody.
    const auto last = scratch.scores.end() - kSketchBlock;
    std::fill(scratch.scores.begin() + static_cast<std::ptrdiff_t>(size()), scratch.scores.end(), uint16_t{65535});
    scratch.lowest.back() = *std::min_element(last, scratch.scores.end());
}

// Writes to scratch.places those of all scores beyond the rings so far, up to the limit; returns how many.
int64_t Sketch::select(uint16_t limit, SketchScratch& scratch) const {
    if (scratch.limit >= limit) return 0;
    int64_t found =
        sketch_loops().select(scratch.scores.data(), scratch.lowest.data(), static_cast<int64_t>(scratch.lowest.size()),
                              static_cast<uint16_t>(scratch.limit + 1), limit, scratch.places.data());
    while (found > 0 && scratch.places[static_cast<size_t>(found - 1)] >= size()) --found;
    return found;
}

void Sketch::ring(int64_t wanted, SketchScratch& scratch, std::vector<int32_t>& out) const {
    out.clear();
    const int64_t more = std::min(wanted, size()) - scratch.taken;
    if (more <= 0) return;
    uint16_t limit = limit_for(wanted, scratch);
    int64_t found = select(limit, scratch);
    if (found < more) {  // guessed too low: look at all of them
        scratch.some.assign(scratch.scores.begin(), scratch.scores.begin() + static_cast<std::ptrdiff_t>(size()));
        const auto at = scratch.some.begin() + static_cast<std::ptrdiff_t>(scratch.taken + more - 1);
        std::nth_element(scratch.some.begin(), at, scratch.some.end());
        limit = *at;
        found = select(limit, scratch);
    }
    const uint16_t* scores = scratch.scores.data();
    limit = lowered(limit, scores, scratch.places.data(), found, more);
    // Without a branch: which of the places are of this ring cannot be predicted.
    out.resize(static_cast<size_t>(found));
    int32_t* to = out.data();
    for (const int32_t *place = scratch.places.data(), *end = place + found; place != end; ++place) {
        *to = nodes_[static_cast<size_t>(*place)];
        to += static_cast<int>(scores[*place] <= limit);
    }
    out.resize(static_cast<size_t>(to - out.data()));
    scratch.taken += static_cast<int64_t>(out.size());
    scratch.limit = limit;
}

}  // namespace nearrow
