#include "packed_hits.h"

#include <cstring>

namespace nearrow {

namespace {

constexpr std::size_t header_bytes = 16;
constexpr std::size_t cursor_bytes = 32;
constexpr std::size_t cursor_raw_bytes = 24;
static_assert(cursor_raw_bytes / 3 * 4 == cursor_bytes);

char* put(char* out, const void* data, std::size_t bytes) noexcept {
    std::memcpy(out, data, bytes);
    return out + bytes;
}

char* put_u32(char* out, std::size_t value) noexcept {
    const auto narrow = static_cast<std::uint32_t>(value);
    return put(out, &narrow, sizeof narrow);
}

// query.cursor.Cursor: key, row number and count of the rows so far, in base64 for URLs.
char* put_cursor(char* out, float distance, std::uint64_t row_number, std::uint64_t seen) noexcept {
    constexpr const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char raw[cursor_raw_bytes];
    const double key = distance;
    std::memcpy(raw, &key, 8);
    std::memcpy(raw + 8, &row_number, 8);
    std::memcpy(raw + 16, &seen, 8);
    for (std::size_t at = 0; at < cursor_raw_bytes; at += 3) {
        const unsigned three = unsigned{raw[at]} << 16 | unsigned{raw[at + 1]} << 8 | raw[at + 2];
        for (const unsigned shift : {18U, 12U, 6U, 0U}) *out++ = letters[three >> shift & 63U];
    }
    return out;
}

}  // namespace

std::size_t packed_hits_bytes(IdKind kind, std::span<const std::string_view> ids) noexcept {
    const std::size_t fixed = kind == IdKind::string ? 4 : 0;
    std::size_t bytes = header_bytes + 4 + cursor_bytes;
    for (const std::string_view id : ids) bytes += fixed + sizeof(float) + id.size();
    return bytes;
}

void pack_hits(IdKind kind, std::span<const std::string_view> ids, const float* distances, std::uint64_t row_number,
               char* out) noexcept {
    const bool texts = kind == IdKind::string;
    out = put_u32(put_u32(put_u32(put_u32(out, 1), ids.size()), texts ? 1 : 0), 0);
    std::size_t end = 0;
    for (const std::string_view id : ids) out = texts ? put_u32(out, end += id.size()) : put(out, id.data(), id.size());
    out = put(out, distances, ids.size() * sizeof(float));
    out = put_u32(out, ids.size());
    if (ids.empty()) {
        std::memset(out, 0, cursor_bytes);
        return;
    }
    out = put_cursor(out, distances[ids.size() - 1], row_number, ids.size());
    if (!texts) return;
    for (const std::string_view id : ids) out = put(out, id.data(), id.size());
}

}  // namespace nearrow
