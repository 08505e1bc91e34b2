#include "chunks.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "helpers.h"
#include "list_match.h"

namespace nearrow {
namespace {

constexpr std::size_t kPieceRows =
    1 << 15;  // some ten microseconds or more; a multiple of 8, so that no byte is shared
constexpr std::size_t kRowsShared = 200'000;  // fewer are done before another thread has begun
constexpr int kThreadsMax = 4;                // of one condition: others want theirs, too

struct Piece {
    std::size_t chunk;
    std::size_t first;
    std::size_t rows;
    std::size_t bits;    // where its bytes of bits begin
    std::size_t before;  // rows of the chunks before
};

template <class Chunk>
const Offsets& offsets_of(const Chunk& chunk) {
    return chunk.offsets;
}
const Offsets& offsets_of(const Offsets& chunk) { return chunk; }

template <class Chunk>
std::vector<Piece> pieces_of(std::span<const Chunk> chunks) {
    std::vector<Piece> pieces;
    std::size_t bits = 0;
    std::size_t before = 0;
    for (std::size_t chunk = 0; chunk < chunks.size(); ++chunk) {
        const std::size_t rows = offsets_of(chunks[chunk]).rows;
        for (std::size_t first = 0; first < rows; first += kPieceRows) {
            pieces.push_back({chunk, first, std::min(kPieceRows, rows - first), bits + first / 8, before});
        }
        bits += (rows + 7) / 8;
        before += rows;
    }
    return pieces;
}

std::size_t rows_of(const std::vector<Piece>& pieces) {
    return pieces.empty() ? 0 : pieces.back().before + pieces.back().first + pieces.back().rows;
}

// How many threads look through so many rows, if `threads` is 0; else that many.
int threads_for(std::size_t rows, int threads) {
    if (threads > 0) return std::min(threads, 256);
    if (rows < kRowsShared) return 1;
    return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kThreadsMax);
}

template <class Chunk, class Body>
void each_piece(std::span<const Chunk> chunks, int threads, const Body& body) {
    const std::vector<Piece> pieces = pieces_of(chunks);
    share(pieces.size(), threads_for(rows_of(pieces), threads), [&](std::size_t i) { body(pieces[i]); });
}

template <class Wanted>
void match_strings(const Wanted& wanted, std::span<const StringChunk> chunks, int threads, std::uint8_t* bits) {
    each_piece(chunks, threads, [&](const Piece& piece) {
        const StringChunk& chunk = chunks[piece.chunk];
        wanted.match(chunk.offsets.from(piece.first), chunk.offsets.wide, chunk.data, piece.rows,
                     {bits + piece.bits, (piece.rows + 7) / 8});
    });
}

// The elements of a piece's lists are marked, and then its lists: marks stay in the cache.
template <class Wanted>
void match_lists_of_strings(const Wanted& wanted, std::span<const ListChunk> chunks, bool every, int threads,
                            std::uint8_t* bits) {
    each_piece(chunks, threads, [&](const Piece& piece) {
        const auto& [offsets, elements] = chunks[piece.chunk];
        const std::size_t begin =
            std::min(string_offset(offsets.bytes, offsets.wide, piece.first), elements.offsets.rows);
        const std::size_t end = std::clamp(string_offset(offsets.bytes, offsets.wide, piece.first + piece.rows), begin,
                                           elements.offsets.rows);
        std::vector<std::uint8_t> marks((end - begin + 7) / 8);
        wanted.match(elements.offsets.from(begin), elements.offsets.wide, elements.data, end - begin, marks);
        match_lists(offsets.from(piece.first), offsets.wide, piece.rows, marks, begin, end - begin, every,
                    {bits + piece.bits, (piece.rows + 7) / 8});
    });
}

}  // namespace

void match_chunks(const StringSet& wanted, std::span<const StringChunk> chunks, int threads, std::uint8_t* bits) {
    match_strings(wanted, chunks, threads, bits);
}

void match_chunks(const StringPattern& wanted, std::span<const StringChunk> chunks, int threads, std::uint8_t* bits) {
    match_strings(wanted, chunks, threads, bits);
}

void match_chunks(const StringSet& wanted, std::span<const ListChunk> chunks, bool every, int threads,
                  std::uint8_t* bits) {
    match_lists_of_strings(wanted, chunks, every, threads, bits);
}

void match_chunks(const StringPattern& wanted, std::span<const ListChunk> chunks, bool every, int threads,
                  std::uint8_t* bits) {
    match_lists_of_strings(wanted, chunks, every, threads, bits);
}

bool all_in_order(std::span<const Offsets> chunks, int threads) {
    std::atomic<bool> good{true};
    each_piece(chunks, threads, [&](const Piece& piece) {
        const Offsets& offsets = chunks[piece.chunk];
        const std::size_t size = (piece.rows + 1) * (offsets.wide ? 8 : 4);
        if (!in_order(offsets.from(piece.first).first(size), offsets.wide)) good = false;
    });
    return good;
}

std::size_t number_chunks(StringNumbers& numbering, std::span<const StringChunk> chunks, int threads,
                          std::uint8_t* numbers) {
    const std::vector<Piece> pieces = pieces_of(chunks);
    std::vector<std::size_t> done(pieces.size(), 0);  // rows of each piece
    const auto go_on = [&](std::size_t i, bool learn) {
        const auto& [chunk, first, rows, bits, before] = pieces[i];
        const auto& [offsets, data, valid, valid_offset] = chunks[chunk];
        std::uint8_t* to = numbers + before;
        const std::size_t from = first + done[i];
        done[i] =
            (learn ? numbering.number(offsets.bytes, offsets.wide, data, valid, valid_offset, from, first + rows, to)
                   : numbering.number_known(offsets.bytes, offsets.wide, data, valid, valid_offset, from, first + rows,
                                            to)) -
            first;
        return done[i] == rows;
    };
    const int sharing = threads_for(rows_of(pieces), threads);
    // The first piece teaches which strings there are. Whoever shares the others adds none, so that numbers come in
    // the same order as ever: where a string is new, that is found out afterwards.
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (!go_on(i, true)) return pieces[i].before + pieces[i].first + done[i];
        if (i == 0 && sharing > 1)
            share(pieces.size() - 1, sharing, [&](std::size_t other) { go_on(other + 1, false); });
    }
    return rows_of(pieces);
}

}  // namespace nearrow
