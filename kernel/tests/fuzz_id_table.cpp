// Fuzz: can any bytes in an id table, or in the ids' own offsets, make a look-up read out of bounds? Checksums of the
// header and of the bucket that was hit are made good, so that the fuzzer gets past them.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "id_table.h"

using namespace nearrow;

namespace {

constexpr std::size_t kIds = 200;

// Checksums as docs/formats/ids.md says them.
void mend(std::vector<std::byte>& table) {
    const auto hash = [&](std::size_t at, std::size_t size, std::uint64_t seed) {
        return hash_bytes({reinterpret_cast<const char*>(table.data()) + at, size}, seed);
    };
    const std::uint64_t header = hash(0, offsetof(IdTableHeader, checksum), 0);
    std::memcpy(table.data() + offsetof(IdTableHeader, checksum), &header, sizeof header);
    for (std::size_t at = sizeof(IdTableHeader); at + sizeof(IdBucket) <= table.size(); at += sizeof(IdBucket)) {
        const std::size_t number = at / sizeof(IdBucket) - 1;
        const std::uint64_t bucket = hash(at, offsetof(IdBucket, checksum), number);
        std::memcpy(table.data() + at + offsetof(IdBucket, checksum), &bucket, 3);
    }
}

struct Good {
    std::vector<int32_t> offsets{0};
    std::string bytes;
    std::vector<std::byte> table;
    Good() {
        for (std::size_t i = 0; i < kIds; ++i) {
            bytes += "row-" + std::string(i % 11, 'x') + std::to_string(i);
            offsets.push_back(static_cast<int32_t>(bytes.size()));
        }
        table.resize(id_table_bytes(kIds));
        if (id_table_build(column(offsets), 7, table)) std::abort();
        const std::vector<std::byte> before = table;
        mend(table);
        if (table != before) std::abort();  // mending is writing what the builder writes
    }
    IdColumn column(const std::vector<int32_t>& at) const {
        IdChunk chunk;
        chunk.offsets = std::as_bytes(std::span(at));
        chunk.values = std::as_bytes(std::span(bytes));
        chunk.length = kIds;
        return IdColumn(IdKind::string, {chunk});
    }
};

}  // namespace

// The input is a list of patches: two bytes of place, then the value; the first byte says what they fall upon.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Good good;
    if (size < 1) return 0;
    std::vector<std::byte> table = good.table;
    std::vector<int32_t> offsets = good.offsets;
    for (size_t at = 1; at + 3 <= size; at += 3) {
        const size_t place = static_cast<size_t>(data[at]) | static_cast<size_t>(data[at + 1]) << 8;
        if ((data[0] & 1) != 0) {
            table[place % table.size()] = static_cast<std::byte>(data[at + 2]);
        } else {
            reinterpret_cast<uint8_t*>(offsets.data())[place % (offsets.size() * 4)] = data[at + 2];
        }
    }
    if ((data[0] & 2) != 0) mend(table);
    const IdColumn ids = good.column(offsets);
    if (IdTable::problem(table, ids) != nullptr) return 0;
    const IdTable open(table, ids);
    const IdColumn needles = good.column(good.offsets);
    std::vector<int64_t> found(kIds);
    open.find_all(needles, found);
    for (std::size_t i = 0; i < kIds; ++i) {
        const int64_t at = open.find(*needles.bytes(i));
        if (at >= static_cast<int64_t>(kIds) || at < IdTable::damaged) __builtin_trap();
        if (found[i] >= static_cast<int64_t>(kIds) || found[i] < IdTable::damaged) __builtin_trap();
    }
    open.misplaced();
    return 0;
}
