// Bytes of requests and answers: memory that is wiped before it is given back.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/blocks.h"

namespace sluice {

// Overwrites memory in a way the compiler may not drop. OPENSSL_cleanse would do it eight bytes at a time.
inline void wipe(void* data, std::size_t size_bytes) noexcept {
  if (size_bytes == 0) return;
  std::memset(data, 0, size_bytes);
  asm volatile("" : : "r"(data) : "memory");  // somebody may look at it: the stores have to happen
}

// Allocator for containers that hold parts of a request: wipes what it frees.
template <class T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() noexcept = default;
  template <class U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}  // NOLINT: allocators convert implicitly
  T* allocate(std::size_t n) { return std::allocator<T>{}.allocate(n); }
  void deallocate(T* p, std::size_t n) noexcept {
    wipe(p, n * sizeof(T));
    std::allocator<T>{}.deallocate(p, n);
  }
  template <class U>
  bool operator==(const WipingAllocator<U>&) const noexcept {
    return true;
  }
};

// A FIFO of bytes in one block: append at the back, consume at the front; wiped when it shrinks, grows or dies.
// Lifetime: views are valid until the next append, consume, clear or destruction.
class Buffer final {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }
  ~Buffer() { release(); }

  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return end_ == begin_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] char* data() noexcept { return block_ + begin_; }
  [[nodiscard]] const char* data() const noexcept { return block_ + begin_; }
  [[nodiscard]] std::string_view view() const noexcept { return {data(), size()}; }

  // Room for `size_bytes` more at the back; `commit` makes what was written there part of the content.
  [[nodiscard]] std::span<char> prepare(std::size_t size_bytes) {
    if (capacity_ - end_ < size_bytes) make_room(size_bytes);
    return {block_ + end_, size_bytes};
  }
  void commit(std::size_t size_bytes) noexcept { end_ += size_bytes; }

  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
  }

  // Drops bytes from the front. An emptied buffer starts again at its beginning and is wiped.
  void consume(std::size_t size_bytes) noexcept {
    begin_ += size_bytes;
    if (begin_ == end_) clear();
  }
  // Drops bytes from the back.
  void truncate(std::size_t new_size_bytes) noexcept {
    wipe(data() + new_size_bytes, size() - new_size_bytes);
    end_ = begin_ + new_size_bytes;
  }

  // Wipes what was used and keeps the block.
  void clear() noexcept {
    if (end_ < kPagesFromBytes)
      wipe(block_, end_);
    else
      empty_pages(block_, capacity_);
    begin_ = end_ = 0;
  }
  // Wipes and frees.
  void release() noexcept {
    if (in_pages()) {
      give_pages(block_, capacity_);
    } else if (block_ != nullptr) {
      wipe(block_, end_);
      give_block(block_, capacity_);
    }
    block_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }
  void swap(Buffer& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  void make_room(std::size_t size_bytes);
  [[nodiscard]] bool in_pages() const noexcept { return capacity_ >= kPagesFromBytes; }

  char* block_ = nullptr;  // raw, because the free must come after the wipe and nothing else may own it
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace sluice
