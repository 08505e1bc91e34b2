// Buffer: page-aligned bytes that a graph is built into and used from, as if they were a mapped file.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace nearrow {

class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(size_t bytes) : size_(bytes) {
        // Large buffers take huge pages where the system grants them: random reads then miss the TLB less.
        const size_t page = bytes >= kHugePage ? kHugePage : 4096;
        const size_t rounded = std::max((bytes + page - 1) / page * page, page);
        data_.reset(static_cast<std::byte*>(std::aligned_alloc(page, rounded)));
        if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
        if (page == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);
#endif
        std::memset(data_.get(), 0, rounded);
    }
    std::byte* data() { return data_.get(); }
    size_t size() const { return size_; }
    std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

  private:
    static constexpr size_t kHugePage = size_t{1} << 21;
    struct Free {
        void operator()(std::byte* data) const { std::free(data); }
    };
    std::unique_ptr<std::byte, Free> data_;
    size_t size_ = 0;
};

}  // namespace nearrow
