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
    const auto begin = reinterpret_cast<uintptr_t>(data) & ~uintptr_t{4095};
    const auto end = (reinterpret_cast<uintptr_t>(data) + bytes + 4095) & ~uintptr_t{4095};
    if (bytes >= kHugePage) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

struct FreeMemory {
    size_t mapped = 0;  // 0: allocated
    void operator()(std::byte* memory) const {
#if defined(__linux__)
        if (mapped != 0) {
            munmap(memory, mapped);
            return;
        }
#endif
        std::free(memory);
    }
};

// Zeros at first. When large, on Linux, straight from the system: whoever touches a page first pays for clearing it, so
// the threads of a build share that.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(size_t bytes) : size_(bytes) {
#if defined(__linux__)
        if (bytes >= kHugePage) {
            const size_t mapped = (bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
            void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED) throw std::bad_alloc();
            memory_ = {static_cast<std::byte*>(memory), FreeMemory{mapped}};
            const auto aligned = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) & ~uintptr_t{kHugePage - 1};
            data_ = reinterpret_cast<std::byte*>(aligned);
            ask_for_huge_pages(data_, bytes);
            return;
        }
#endif
        const size_t rounded = std::max((bytes + 4095) / 4096 * 4096, size_t{4096});
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, rounded)));
        if (memory_ == nullptr) throw std::bad_alloc();
        data_ = memory_.get();
        std::memset(data_, 0, rounded);
    }
    std::byte* data() { return data_; }
    const std::byte* data() const { return data_; }
    size_t size() const { return size_; }
    std::span<const std::byte> bytes() const { return {data_, size_}; }

  private:
    std::unique_ptr<std::byte, FreeMemory> memory_;
    std::byte* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace nearrow
