// Vectors: where does the vector at a position lie? Chunks of rows held by reference, never copied.
#pragma once

#if defined(__linux__)
#include <unistd.h>
#endif

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "buffer.h"

namespace nearrow {

enum class Element : uint32_t { float32 = 0, float16 = 1 };
enum class Metric : uint32_t { l2 = 0, cosine = 1, dot = 2 };

// Thread-safe to read. REQUIRES: the chunks outlive the view.
class Vectors {
  public:
    struct Chunk {
        const std::byte* data;
        int64_t rows;
    };

    Vectors() = default;
    Vectors(const std::vector<Chunk>& chunks, int dimension, Element element)
        : dimension_(dimension), element_(element) {
        row_bytes_ = static_cast<size_t>(dimension) * (element == Element::float32 ? 4 : 2);
        for (const Chunk& chunk : chunks) {
            if (chunk.rows < 0) throw std::invalid_argument("a chunk has a negative number of rows");
            if (chunk.rows == 0) continue;
            starts_.push_back(rows_);
            // An address shifted by the rows before it: row(i) is one multiplication away, whatever the chunk.
            bases_.push_back(reinterpret_cast<uintptr_t>(chunk.data) - static_cast<uintptr_t>(rows_) * row_bytes_);
            rows_ += chunk.rows;
        }
        starts_.push_back(rows_);
        while ((rows_ >> shift_) > 65536) ++shift_;
        size_t chunk = 0;
        for (int64_t block = 0; block <= (rows_ >> shift_); ++block) {
            while (chunk + 1 < bases_.size() && starts_[chunk + 1] <= (block << shift_)) ++chunk;
            table_.push_back(static_cast<uint32_t>(chunk));
        }
    }

    int64_t rows() const { return rows_; }
    int dimension() const { return dimension_; }
    Element element() const { return element_; }
    size_t row_bytes() const { return row_bytes_; }

    // Rows will be read here and there. Mapped ones then come from the disk by huge pages, and stay in them: unless
    // there are so many that each read would push out others.
    void expect_random_reads() const {
#if defined(__linux__)
        const auto memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
        if (static_cast<size_t>(rows_) * row_bytes_ > memory / 4) return;
        for (size_t chunk = 0; chunk < bases_.size(); ++chunk) {
            ask_for_huge_pages(row(starts_[chunk]),
                               static_cast<size_t>(starts_[chunk + 1] - starts_[chunk]) * row_bytes_);
        }
#endif
    }

    // REQUIRES: 0 <= position < rows().
    const void* row(int64_t position) const {
        size_t chunk = 0;
        if (bases_.size() > 1) {
            chunk = table_[static_cast<size_t>(position >> shift_)];
            while (position >= starts_[chunk + 1]) ++chunk;
        }
        return reinterpret_cast<const void*>(bases_[chunk] + static_cast<uintptr_t>(position) * row_bytes_);
    }

  private:
    int64_t rows_ = 0;
    int dimension_ = 0;
    Element element_ = Element::float32;
    size_t row_bytes_ = 0;
    int shift_ = 6;
    std::vector<int64_t> starts_;
    std::vector<uintptr_t> bases_;
    std::vector<uint32_t> table_;
};

}  // namespace nearrow
