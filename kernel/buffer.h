// Buffer: page-aligned bytes that a graph is built into and used from, as if they were a mapped file.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace nearrow {

constexpr size_t kHugePage = size_t{1} << 21;

// Large memory takes huge pages where the system grants them, a mapped file when it is read from the disk and the file
// system has them: random reads then miss the TLB less. A hint; nothing depends on it.
inline void ask_for_huge_pages([[maybe_unused]] const void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
    const auto begin = (reinterpret_cast<uintptr_t>(data) + 4095) & ~uintptr_t{4095};
    const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~uintptr_t{4095};
    if (bytes >= kHugePage) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(size_t bytes) : size_(bytes) {
        const size_t page = bytes >= kHugePage ? kHugePage : 4096;
        const size_t rounded = std::max((bytes + page - 1) / page * page, page);
        data_.reset(static_cast<std::byte*>(std::aligned_alloc(page, rounded)));
        if (data_ == nullptr) throw std::bad_alloc();
        ask_for_huge_pages(data_.get(), rounded);
        std::memset(data_.get(), 0, rounded);
    }
    std::byte* data() { return data_.get(); }
    size_t size() const { return size_; }
    std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

  private:
    struct Free {
        void operator()(std::byte* data) const { std::free(data); }
    };
    std::unique_ptr<std::byte, Free> data_;
    size_t size_ = 0;
};

}  // namespace nearrow
