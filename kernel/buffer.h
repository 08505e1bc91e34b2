// Buffer: page-aligned bytes that a graph is built into and used from, as if they were a mapped file.
#pragma once

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
        const size_t rounded = (bytes + 4095) / 4096 * 4096;
        data_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, rounded > 0 ? rounded : 4096)));
        if (data_ == nullptr) throw std::bad_alloc();
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
