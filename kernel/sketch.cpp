#include "sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace nearrow {
namespace {

constexpr int kSlots = 4;             // bits of a group
constexpr int64_t kRingsAhead = 4;    // the next two rings are selected with one
constexpr size_t kSortedMin = 64;     // scores of the sample that are put in order at once
constexpr double kLimitSample = 4.0;  // scores from which the limit is guessed, for each root of the size

void score(const uint8_t* codes, const uint8_t* tables, int pairs, int64_t blocks, uint16_t* scores) {
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
    }
}

int64_t select(const uint16_t* scores, int64_t n, uint16_t limit, int32_t* out) {
    int64_t found = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (scores[i] <= limit) out[found++] = static_cast<int32_t>(i);
    }
    return found;
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

// A score that about `wanted` nodes, and seldom fewer, do not exceed: guessed from scores spread over all.
uint16_t Sketch::limit_for(int64_t wanted, SketchScratch& scratch) const {
    if (wanted >= size()) return 65535;
    const auto sampled = static_cast<int64_t>(kLimitSample * std::sqrt(static_cast<double>(size())));
    const int64_t stride = std::max<int64_t>(1, size() / sampled);
    std::vector<uint16_t>& sample = scratch.sample;
    if (sample.empty()) {
        for (int64_t i = 0; i < size(); i += stride) sample.push_back(scratch.scores[static_cast<size_t>(i)]);
        scratch.sorted = 0;
    }
    const auto taken = static_cast<double>(sample.size());
    const double expected = static_cast<double>(wanted) * taken / static_cast<double>(size());
    const double rank = stride == 1 ? expected : expected + 2.0 * std::sqrt(expected) + 1.0;
    if (rank >= taken) return 65535;
    const auto at = static_cast<size_t>(rank);
    if (at >= scratch.sorted) {  // with those that the next rings will ask for
        scratch.sorted = std::min(sample.size(), std::max(kSortedMin, 4 * (at + 1)));
        const auto end = sample.begin() + static_cast<std::ptrdiff_t>(scratch.sorted);
        std::nth_element(sample.begin(), end - 1, sample.end());
        std::sort(sample.begin(), end);
    }
    return sample[at];
}

void Sketch::score(const float* query, SketchScratch& scratch) const {
    make_tables(query, scratch);
    const size_t padded = (nodes_.size() + kSketchBlock - 1) / kSketchBlock * kSketchBlock;
    scratch.scores.resize(padded);
    scratch.places.resize(padded);
    scratch.sample.clear();
    scratch.places_limit = -1;
    scratch.limit = -1;
    sketch_loops().score(codes_.data()->bytes, scratch.tables.data()->bytes, groups_ / 2,
                         static_cast<int64_t>(padded) / kSketchBlock, scratch.scores.data());
}

// Writes to scratch.places those of all scores up to the limit, and of the next rings, too; returns how many do not
// exceed the limit.
int64_t Sketch::select(uint16_t limit, int64_t wanted, SketchScratch& scratch) const {
    if (limit > scratch.places_limit) {
        const bool few = kRingsAhead * wanted < size() / kRingsAhead;
        const uint16_t ahead = std::max(limit, few ? limit_for(kRingsAhead * wanted, scratch) : uint16_t{0});
        scratch.places_limit = ahead;
        scratch.places_found = sketch_loops().select(scratch.scores.data(), static_cast<int64_t>(scratch.scores.size()),
                                                     ahead, scratch.places.data());
        if (limit == ahead) return scratch.places_found;
    }
    return std::count_if(scratch.places.begin(), scratch.places.begin() + scratch.places_found,
                         [&](int32_t place) { return scratch.scores[static_cast<size_t>(place)] <= limit; });
}

void Sketch::ring(int64_t wanted, SketchScratch& scratch, std::vector<int32_t>& out) const {
    out.clear();
    if (size() == 0) return;
    const uint16_t* scores = scratch.scores.data();
    const int32_t* node_at = nodes_.data();
    const auto padding = static_cast<int64_t>(scratch.scores.size()) - size();
    uint16_t limit = limit_for(wanted, scratch);
    if (select(limit, wanted, scratch) < std::min(wanted, size()) + padding && limit < 65535) {
        // Guessed too low: look at all of them.
        scratch.all.assign(scratch.scores.begin(), scratch.scores.begin() + static_cast<std::ptrdiff_t>(size()));
        const auto at = scratch.all.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
        std::nth_element(scratch.all.begin(), at, scratch.all.end());
        limit = *at;
        select(limit, wanted, scratch);
    }
    // Without a branch: which of the places are new in this ring cannot be predicted.
    out.resize(static_cast<size_t>(scratch.places_found));
    const int32_t last = scratch.limit;
    const auto nodes = static_cast<int32_t>(size());
    int32_t* to = out.data();
    for (const int32_t *place = scratch.places.data(), *end = place + scratch.places_found; place != end; ++place) {
        const int32_t score = scores[*place];
        *to = node_at[std::min(*place, nodes - 1)];
        to += static_cast<int>(*place < nodes) & static_cast<int>(score > last) & static_cast<int>(score <= limit);
    }
    out.resize(static_cast<size_t>(to - out.data()));
    scratch.limit = std::max<int32_t>(scratch.limit, limit);
}

}  // namespace nearrow
