// The loops over columns with AVX-512: eight rows at once.
#if defined(__x86_64__)
#include <immintrin.h>

#include "column_loops.h"

namespace nearrow {
namespace {

inline __m256i load8(const std::byte* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

inline std::uint32_t load32(const std::byte* at) {
    std::uint32_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

// What 4 bytes can tell of the size, which is all that offsets can point at.
inline std::uint32_t told(std::size_t size) {
    return static_cast<std::uint32_t>(size < 0xFFFFFFFF ? size : 0xFFFFFFFF);
}

// The 8 bytes at each of eight places. A gather instruction takes twice the time on Zen 4.
inline __m512i words_at(const std::byte* data, const std::byte* places) {
    const auto pair = [&](int i) {
        long long low;
        long long high;
        __builtin_memcpy(&low, data + load32(places + 4 * i), sizeof low);
        __builtin_memcpy(&high, data + load32(places + 4 * i + 4), sizeof high);
        return _mm_insert_epi64(_mm_cvtsi64_si128(low), high, 1);
    };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(0)), pair(2), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(4)), pair(6), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

inline __m256i all32(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
inline __m512i all64(std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); }

template <bool kTails>
std::size_t match_ends(const std::byte* offsets, const std::byte* data, std::size_t size, std::size_t first,
                       std::size_t rows, const StringEnds* wanted, int count, std::uint8_t* bits) {
    const __m256i places = all32(told(size) - 16);
    const __m256i end = all32(told(size));
    const __m256i eight = all32(8);
    std::size_t row = first;
    for (; row + kGroup <= rows; row += kGroup) {
        const std::byte* at = offsets + 4 * row;
        const __m256i starts = load8(at);
        const __m256i ends = load8(at + 4);
        const __m256i lengths = _mm256_sub_epi32(ends, starts);
        __mmask8 others = _mm256_cmpgt_epu32_mask(starts, places) | _mm256_cmpgt_epu32_mask(starts, ends) |
                          _mm256_cmpgt_epu32_mask(ends, end);
        if (kTails) others |= _mm256_cmplt_epu32_mask(ends, eight);
        if (others != 0) return row;
        const __m512i words = words_at(data, at);
        const __m512i tails = kTails ? words_at(data - 8, at + 4) : words;
        __mmask8 found = 0;
        for (int i = 0; i < count; ++i) {
            const StringEnds& one = wanted[i];
            const __m256i longer = _mm256_sub_epi32(lengths, all32(one.length));
            __mmask8 alike = _mm256_cmple_epu32_mask(longer, all32(one.spread));
            alike = _mm512_mask_cmpeq_epi64_mask(alike, _mm512_and_si512(words, all64(one.mask)), all64(one.first));
            if (kTails) {
                const __m512i masked = _mm512_and_si512(tails, all64(one.tail_mask));
                alike = _mm512_mask_cmpeq_epi64_mask(alike, masked, all64(one.last));
            }
            found |= alike;
        }
        bits[row / kGroup] = found;
    }
    return row;
}

std::size_t match_ends(const std::byte* offsets, const std::byte* data, std::size_t size, std::size_t first,
                       std::size_t rows, const StringEnds* wanted, int count, std::uint8_t* bits) {
    if (size < 16) return first;
    bool tails = false;
    for (int i = 0; i < count; ++i) tails |= wanted[i].tail_mask != 0;
    return tails ? match_ends<true>(offsets, data, size, first, rows, wanted, count, bits)
                 : match_ends<false>(offsets, data, size, first, rows, wanted, count, bits);
}

std::size_t match_lists(const std::byte* offsets, std::size_t first, std::size_t rows, const std::uint8_t* marks,
                        std::uint64_t begin, std::uint64_t easy, bool every, std::uint8_t* bits) {
    const auto flip = static_cast<std::uint8_t>(every ? 0xFF : 0);
    const __m512i inverted = _mm512_set1_epi64(every ? -1 : 0);
    const __m512i one = _mm512_set1_epi64(1);
    std::size_t row = first;
    for (; row + kGroup <= rows; row += kGroup) {
        const std::uint32_t start = load32(offsets + 4 * row);
        const std::uint32_t total = load32(offsets + 4 * row + 4 * kGroup) - start;
        const std::uint64_t at = start - begin;
        const __m256i starts = load8(offsets + 4 * row);
        const __m256i lengths = _mm256_sub_epi32(load8(offsets + 4 * row + 4), starts);
        // All lengths are small and so is their sum: then they are in order.
        if (at >= easy || total > 56 || at + total > easy || _mm256_cmpgt_epu32_mask(lengths, all32(63)) != 0) {
            return row;
        }
        std::uint64_t word;
        __builtin_memcpy(&word, marks + at / 8, sizeof word);
        const __m512i words = _mm512_xor_si512(all64(word >> at % 8), inverted);
        const __m512i shifts = _mm512_cvtepu32_epi64(_mm256_sub_epi32(starts, all32(start)));
        const __m512i below = _mm512_sub_epi64(_mm512_sllv_epi64(one, _mm512_cvtepu32_epi64(lengths)), one);
        bits[row / kGroup] =
            static_cast<std::uint8_t>(_mm512_test_epi64_mask(_mm512_srlv_epi64(words, shifts), below) ^ flip);
    }
    return row;
}

// 32 positions at once, as long as they do not go back.
std::size_t in_order(const std::byte* offsets, std::size_t count) {
    std::size_t at = 0;
    for (; at + 33 <= count; at += 32) {
        const std::byte* here = offsets + 4 * at;
        const __mmask16 low = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(here), _mm512_loadu_si512(here + 4));
        const __mmask16 high = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(here + 64), _mm512_loadu_si512(here + 68));
        if ((low | high) != 0) return at;
    }
    return at;
}

// A key's own bytes by its length, and the length.
struct KeyMasks {
    alignas(16) std::uint8_t bytes[16][kShortKey];
    alignas(16) std::uint8_t length[16][kShortKey];
};
constexpr KeyMasks make_masks() {
    KeyMasks masks{};
    for (std::size_t length = 0; length < 16; ++length) {
        for (std::size_t i = 0; i < length; ++i) masks.bytes[length][i] = 0xFF;
        masks.length[length][kShortKey - 1] = static_cast<std::uint8_t>(length);
    }
    return masks;
}
constexpr KeyMasks kMasks = make_masks();

inline __m128i key_at(const std::uint8_t* at) { return _mm_load_si128(reinterpret_cast<const __m128i*>(at)); }

// Three rounds: strings that differ in two bytes of one column differ in a single byte after the first, and in all of
// them after the third.
inline std::size_t slot_of(__m128i key) {
    const __m128i once = _mm_aesenc_si128(key, _mm_set1_epi32(0x3C6EF372));
    const __m128i mixed = _mm_aesenc_si128(_mm_aesenc_si128(once, key), key);
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(mixed)) % sizeof(ShortNumbers::slots);
}

std::size_t short_slot(const std::uint8_t* key) {
    return slot_of(_mm_loadu_si128(reinterpret_cast<const __m128i*>(key)));
}

std::size_t short_numbers(const std::byte* offsets, const std::byte* data, std::size_t size, std::size_t first,
                          std::size_t rows, const ShortNumbers& known, std::uint8_t* numbers) {
    if (size < 16) return first;
    const __m256i places = all32(told(size) - 16);
    std::size_t row = first;
    for (; row + kGroup <= rows; row += kGroup) {
        const __m256i starts = load8(offsets + 4 * row);
        const __m256i lengths = _mm256_sub_epi32(load8(offsets + 4 * row + 4), starts);
        const __mmask8 others =
            _mm256_cmpgt_epu32_mask(lengths, all32(kShortKey - 1)) | _mm256_cmpgt_epu32_mask(starts, places);
        if (others != 0) return row;
        std::uint32_t start = load32(offsets + 4 * row);
        __m128i differ[kGroup];
        for (std::size_t i = 0; i < kGroup; ++i) {
            const std::uint32_t end = load32(offsets + 4 * (row + i) + 4);
            const std::size_t length = end - start;
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + start));
            const __m128i key =
                _mm_or_si128(_mm_and_si128(bytes, key_at(kMasks.bytes[length])), key_at(kMasks.length[length]));
            const std::uint8_t number = known.slots[slot_of(key)];
            differ[i] = _mm_xor_si128(key, key_at(known.keys[number]));
            numbers[row + i] = number;
            start = end;
        }
        __m128i any = differ[0];
        for (std::size_t i = 1; i < kGroup; ++i) any = _mm_or_si128(any, differ[i]);
        if (_mm_testz_si128(any, any) == 0) [[unlikely]] {
            std::size_t i = 0;
            while (_mm_testz_si128(differ[i], differ[i]) != 0) ++i;
            return row + i;
        }
    }
    return row;
}

}  // namespace

extern const ColumnLoops column_avx512 = {match_ends, match_lists, in_order, short_slot, short_numbers};

}  // namespace nearrow
#endif
