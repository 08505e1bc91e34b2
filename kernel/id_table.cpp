#include "id_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace nearrow {

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian and used in place");

namespace {

constexpr std::uint64_t prime1 = 0x9E3779B185EBCA87ULL;
constexpr std::uint64_t prime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr std::uint64_t prime3 = 0x165667B19E3779F9ULL;
constexpr std::uint64_t prime4 = 0x85EBCA77C2B2AE63ULL;
constexpr std::uint64_t prime5 = 0x27D4EB2F165667C5ULL;

constexpr char table_magic[8] = {'N', 'R', 'I', 'D', 'S', '\r', '\n', 0};
constexpr std::uint32_t table_version = 1;

// Slots per id: a load of 0.7.
constexpr std::size_t load_numerator = 7;
constexpr std::size_t load_denominator = 10;

// Needles whose cache lines are requested together, before any of them is looked at.
constexpr std::size_t block = 32;

template <typename Integer>
Integer load(const void* from) noexcept {
    Integer value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

std::uint64_t mix(std::uint64_t accumulator, std::uint64_t lane) noexcept {
    return std::rotl(accumulator + lane * prime2, 31) * prime1;
}

std::uint64_t merge(std::uint64_t hash, std::uint64_t accumulator) noexcept {
    return (hash ^ mix(0, accumulator)) * prime1 + prime4;
}

// High half of a 64 × 64 bit product: spreads a hash evenly over any number of buckets.
std::size_t scale(std::uint64_t hash, std::uint64_t range) noexcept {
    const std::uint64_t hash_high = hash >> 32, hash_low = hash & 0xFFFFFFFF;
    const std::uint64_t range_high = range >> 32, range_low = range & 0xFFFFFFFF;
    const std::uint64_t middle = hash_high * range_low + ((hash_low * range_low) >> 32);
    const std::uint64_t carried = (middle & 0xFFFFFFFF) + hash_low * range_high;
    return static_cast<std::size_t>(hash_high * range_high + (middle >> 32) + (carried >> 32));
}

// The low bits: the high ones choose the bucket.
std::uint8_t fingerprint(std::uint64_t hash) noexcept { return static_cast<std::uint8_t>(hash); }

std::size_t bucket_count(std::size_t ids) noexcept {
    const std::size_t slots = (ids * load_denominator + load_numerator - 1) / load_numerator;
    return std::max<std::size_t>(1, (slots + id_bucket_slots - 1) / id_bucket_slots);
}

std::uint32_t checksum_of(const IdBucket& bucket, std::size_t number) noexcept {
    const std::string_view checked(reinterpret_cast<const char*>(&bucket), offsetof(IdBucket, checksum));
    return static_cast<std::uint32_t>(hash_bytes(checked, number) & 0xFFFFFF);
}

bool sound(const IdBucket& bucket, std::size_t number) noexcept {
    return load<std::uint32_t>(&bucket.used) >> 8 == checksum_of(bucket, number);
}

void prefetch_line(const void* address) noexcept { __builtin_prefetch(address); }

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) noexcept {
    const char* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t hash;
    if (left >= 32) {
        std::array<std::uint64_t, 4> lanes = {seed + prime1 + prime2, seed + prime2, seed, seed - prime1};
        for (; left >= 32; left -= 32, at += 32)
            for (std::size_t lane = 0; lane < 4; ++lane)
                lanes[lane] = mix(lanes[lane], load<std::uint64_t>(at + 8 * lane));
        hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
        for (const std::uint64_t lane : lanes) hash = merge(hash, lane);
    } else {
        hash = seed + prime5;
    }
    hash += bytes.size();
    for (; left >= 8; left -= 8, at += 8)
        hash = std::rotl(hash ^ mix(0, load<std::uint64_t>(at)), 27) * prime1 + prime4;
    if (left >= 4) {
        hash = std::rotl(hash ^ (load<std::uint32_t>(at) * prime1), 23) * prime2 + prime3;
        left -= 4, at += 4;
    }
    for (; left > 0; --left, ++at) hash = std::rotl(hash ^ (static_cast<unsigned char>(*at) * prime5), 11) * prime1;
    hash = (hash ^ (hash >> 33)) * prime2;
    hash = (hash ^ (hash >> 29)) * prime3;
    return hash ^ (hash >> 32);
}

IdColumn::IdColumn(IdKind kind, std::vector<IdChunk> chunks) : kind_(kind), chunks_(std::move(chunks)) {
    std::erase_if(chunks_, [](const IdChunk& chunk) { return chunk.length == 0; });
    starts_.reserve(chunks_.size() + 1);
    starts_.push_back(0);
    for (const IdChunk& chunk : chunks_) starts_.push_back(starts_.back() + chunk.length);
    if (chunks_.empty()) return;
    const std::size_t rows = chunks_.size() == 1 ? std::bit_ceil(chunks_[0].length) : chunks_[0].length;
    const bool even =
        std::has_single_bit(rows) && chunks_.back().length <= rows &&
        std::all_of(chunks_.begin(), chunks_.end() - 1, [rows](const IdChunk& chunk) { return chunk.length == rows; });
    if (even) shift_ = std::countr_zero(rows);
}

std::pair<std::size_t, std::size_t> IdColumn::locate(std::size_t position) const noexcept {
    if (shift_ >= 0) return {position >> shift_, position & ((std::size_t{1} << shift_) - 1)};
    const auto above = std::upper_bound(starts_.begin(), starts_.end(), position);
    const std::size_t chunk = static_cast<std::size_t>(above - starts_.begin()) - 1;
    return {chunk, position - starts_[chunk]};
}

std::optional<std::string_view> IdColumn::bytes(std::size_t position) const noexcept {
    if (position >= size()) return std::nullopt;
    const auto [number, row] = locate(position);
    const IdChunk& chunk = chunks_[number];
    const std::size_t index = chunk.offset + row;
    if (!chunk.validity.empty()) {
        if (index / 8 >= chunk.validity.size()) return std::nullopt;
        if (((std::to_integer<unsigned>(chunk.validity[index / 8]) >> (index % 8)) & 1) == 0) return std::nullopt;
    }
    const char* values = reinterpret_cast<const char*>(chunk.values.data());
    if (kind_ == IdKind::int64) {
        if (index >= chunk.values.size() / 8) return std::nullopt;
        return std::string_view(values + 8 * index, 8);
    }
    const std::size_t width = chunk.wide_offsets ? 8 : 4;
    if (index + 1 >= chunk.offsets.size() / width) return std::nullopt;
    const std::byte* pair = chunk.offsets.data() + width * index;
    const std::int64_t begin = chunk.wide_offsets ? load<std::int64_t>(pair) : load<std::int32_t>(pair);
    const std::int64_t end = chunk.wide_offsets ? load<std::int64_t>(pair + 8) : load<std::int32_t>(pair + 4);
    if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > chunk.values.size()) return std::nullopt;
    return std::string_view(values + begin, static_cast<std::size_t>(end - begin));
}

void IdColumn::prefetch(std::size_t position) const noexcept {
    if (position >= size()) return;
    const auto [number, row] = locate(position);
    const IdChunk& chunk = chunks_[number];
    const std::size_t index = chunk.offset + row;
    const std::span<const std::byte> line = kind_ == IdKind::int64 ? chunk.values : chunk.offsets;
    const std::size_t width = kind_ == IdKind::int64 || chunk.wide_offsets ? 8 : 4;
    if (index < line.size() / width) prefetch_line(line.data() + width * index);
}

std::size_t id_table_bytes(std::size_t count) noexcept {
    return sizeof(IdTableHeader) + sizeof(IdBucket) * bucket_count(count);
}

std::optional<IdBuildFailure> id_table_build(const IdColumn& ids, std::uint64_t seed, std::span<std::byte> out) {
    IdTableHeader header = {};
    std::memcpy(header.magic, table_magic, sizeof table_magic);
    header.version = table_version;
    header.kind = static_cast<std::uint32_t>(ids.kind());
    header.count = ids.size();
    header.buckets = bucket_count(ids.size());
    header.seed = seed;
    header.longest_probe = 1;
    std::byte* const buckets = out.data() + sizeof header;
    const auto bucket_at = [buckets](std::size_t number) {
        return reinterpret_cast<IdBucket*>(buckets + sizeof(IdBucket) * number);
    };
    std::array<std::uint64_t, block> hashes;
    for (std::size_t first = 0; first < ids.size(); first += block) {
        const std::size_t last = std::min(first + block, ids.size());
        for (std::size_t position = first; position < last; ++position) {
            const auto id = ids.bytes(position);
            if (!id) return IdBuildFailure{position, std::nullopt};
            hashes[position - first] = hash_bytes(*id, seed);
            prefetch_line(bucket_at(scale(hashes[position - first], header.buckets)));
        }
        for (std::size_t position = first; position < last; ++position) {
            const std::uint64_t hash = hashes[position - first];
            const std::string_view id = *ids.bytes(position);
            std::size_t number = scale(hash, header.buckets);
            std::uint64_t probes = 1;
            for (;; ++probes, number = number + 1 == header.buckets ? 0 : number + 1) {
                IdBucket& bucket = *bucket_at(number);
                for (std::size_t slot = 0; slot < bucket.used; ++slot)
                    if (bucket.fingerprints[slot] == fingerprint(hash) && ids.bytes(bucket.positions[slot]) == id)
                        return IdBuildFailure{position, bucket.positions[slot]};
                if (bucket.used == id_bucket_slots) continue;
                bucket.positions[bucket.used] = static_cast<std::uint32_t>(position);
                bucket.fingerprints[bucket.used] = fingerprint(hash);
                ++bucket.used;
                break;
            }
            header.longest_probe = std::max(header.longest_probe, probes);
        }
    }
    for (std::size_t number = 0; number < header.buckets; ++number) {
        const std::uint32_t checksum = checksum_of(*bucket_at(number), number);
        std::memcpy(bucket_at(number)->checksum, &checksum, sizeof IdBucket::checksum);
    }
    header.checksum = hash_bytes({reinterpret_cast<const char*>(&header), offsetof(IdTableHeader, checksum)}, 0);
    std::memcpy(out.data(), &header, sizeof header);
    return std::nullopt;
}

const char* IdTable::problem(std::span<const std::byte> table, const IdColumn& ids) noexcept {
    if (table.size() < sizeof(IdTableHeader)) return "shorter than its header";
    const auto header = load<IdTableHeader>(table.data());
    if (std::memcmp(header.magic, table_magic, sizeof table_magic) != 0) return "not an id table (magic number)";
    if (header.checksum !=
        hash_bytes({reinterpret_cast<const char*>(table.data()), offsetof(IdTableHeader, checksum)}, 0))
        return "header checksum mismatch";
    if (header.version != table_version) return "unknown version";
    if (header.kind != static_cast<std::uint32_t>(ids.kind())) return "kind of id differs from the column's";
    if (header.count != ids.size()) return "number of ids differs from the column's";
    if (header.buckets != bucket_count(ids.size())) return "number of buckets does not fit the number of ids";
    if (header.longest_probe == 0 || header.longest_probe > header.buckets) return "probe limit out of range";
    if (table.size() != id_table_bytes(ids.size())) return "length does not fit the number of ids";
    if (reinterpret_cast<std::uintptr_t>(table.data()) % alignof(std::uint64_t) != 0) return "not aligned to 8 bytes";
    return nullptr;
}

IdTable::IdTable(std::span<const std::byte> table, const IdColumn& ids) noexcept : ids_(&ids) {
    const auto header = load<IdTableHeader>(table.data());
    buckets_ = reinterpret_cast<const IdBucket*>(table.data() + sizeof header);
    bucket_count_ = header.buckets;
    longest_probe_ = header.longest_probe;
    seed_ = header.seed;
}

std::size_t IdTable::home(std::uint64_t hash) const noexcept { return scale(hash, bucket_count_); }

std::int64_t IdTable::probe(std::string_view id, std::uint64_t hash) const noexcept {
    std::size_t number = home(hash);
    for (std::size_t probes = 0; probes < longest_probe_; ++probes) {
        const IdBucket& bucket = buckets_[number];
        if (!sound(bucket, number)) return damaged;
        const std::size_t used = std::min<std::size_t>(bucket.used, id_bucket_slots);
        for (std::size_t slot = 0; slot < used; ++slot)
            if (bucket.fingerprints[slot] == fingerprint(hash) && ids_->bytes(bucket.positions[slot]) == id)
                return bucket.positions[slot];
        if (used < id_bucket_slots) return missing;
        number = number + 1 == bucket_count_ ? 0 : number + 1;
    }
    return missing;
}

std::int64_t IdTable::find(std::string_view id) const noexcept { return probe(id, hash_bytes(id, seed_)); }

// Each needle costs three cache misses that depend on each other (bucket, offsets, bytes); a block of needles takes
// the misses for all of them at once.
template <typename Visit>
void IdTable::find_blocks(const IdColumn& needles, Visit visit) const noexcept {
    struct Pending {
        std::string_view id;
        std::uint64_t hash;
        bool valid;
        std::size_t likely;  // a position whose fingerprint fits, or one beyond the column
    };
    std::array<Pending, block> pending;
    for (std::size_t first = 0; first < needles.size(); first += block) {
        const std::size_t last = std::min(first + block, needles.size());
        for (std::size_t position = first; position < last; ++position) {
            const auto id = needles.bytes(position);
            Pending& now = pending[position - first];
            now = {id.value_or(std::string_view()), id ? hash_bytes(*id, seed_) : 0, id.has_value(), SIZE_MAX};
            if (id) prefetch_line(&buckets_[home(now.hash)]);
        }
        for (std::size_t position = first; position < last; ++position) {
            Pending& now = pending[position - first];
            if (!now.valid) continue;
            const IdBucket& bucket = buckets_[home(now.hash)];
            const std::size_t used = std::min<std::size_t>(bucket.used, id_bucket_slots);
            for (std::size_t slot = 0; slot < used; ++slot)
                if (bucket.fingerprints[slot] == fingerprint(now.hash)) {
                    ids_->prefetch(bucket.positions[slot]);
                    now.likely = bucket.positions[slot];
                }
        }
        for (std::size_t position = first; position < last; ++position)
            if (const auto id = ids_->bytes(pending[position - first].likely)) prefetch_line(id->data());
        for (std::size_t position = first; position < last; ++position) {
            const Pending& now = pending[position - first];
            visit(position, now.valid ? probe(now.id, now.hash) : missing);
        }
    }
}

bool IdTable::find_all(const IdColumn& needles, std::span<std::int64_t> out) const noexcept {
    bool whole = true;
    find_blocks(needles, [&](std::size_t needle, std::int64_t found) {
        out[needle] = found;
        whole = whole && found != damaged;
    });
    return whole;
}

std::pair<std::size_t, std::size_t> IdTable::misplaced() const noexcept {
    std::size_t count = 0, first = 0;
    find_blocks(*ids_, [&](std::size_t position, std::int64_t found) {
        if (found == static_cast<std::int64_t>(position)) return;
        if (count++ == 0) first = position;
    });
    return {count, first};
}

}  // namespace nearrow
