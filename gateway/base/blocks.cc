#include "base/blocks.h"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace sluice {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kPooled = false;  // a sanitizer has to see every block come and go
#else
constexpr bool kPooled = true;
#endif

// Small blocks by steps that fit frames, larger ones by steps that fit buffers; beyond that they go back at once.
constexpr std::size_t kFineStepBytes = 64;
constexpr std::size_t kFineClasses = 64;
constexpr std::size_t kFineBytes = kFineStepBytes * kFineClasses;  // 4 KiB
constexpr std::size_t kCoarseClasses = 7;                          // of 4 KiB each, from 8 to 32 KiB
constexpr std::size_t kKeptBytes = 512 * 1024;                     // of each class, at most

// Free blocks of one thread, by size.
class BlockPool final {
 public:
  ~BlockPool() {
    for (Free*& first : free_) {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
  }

  void* take(std::size_t size_bytes) {
    const Class which = class_of(size_bytes);
    if (which.index >= free_.size()) return ::operator new(size_bytes);
    Free* const first = free_[which.index];
    if (first == nullptr) return ::operator new(which.block_bytes);
    free_[which.index] = first->next;
    kept_bytes_[which.index] -= which.block_bytes;
    return first;
  }

  void give(void* block, std::size_t size_bytes) noexcept {
    const Class which = class_of(size_bytes);
    if (which.index >= free_.size() || kept_bytes_[which.index] >= kKeptBytes) {
      ::operator delete(block);
      return;
    }
    free_[which.index] = new (block) Free{free_[which.index]};
    kept_bytes_[which.index] += which.block_bytes;
  }

 private:
  struct Free {
    Free* next;
  };
  struct Class {
    std::size_t index;
    std::size_t block_bytes;
  };
  static Class class_of(std::size_t size_bytes) noexcept {
    if (size_bytes <= kFineBytes) {
      const std::size_t index = (size_bytes - 1) / kFineStepBytes;
      return {index, (index + 1) * kFineStepBytes};
    }
    const std::size_t index = (size_bytes - 1) / kFineBytes;
    return {kFineClasses - 1 + index, (index + 1) * kFineBytes};
  }

  std::array<Free*, kFineClasses + kCoarseClasses> free_{};
  std::array<std::size_t, kFineClasses + kCoarseClasses> kept_bytes_{};
};

BlockPool& pool() noexcept {
  thread_local BlockPool blocks;
  return blocks;
}

}  // namespace

void* take_block(std::size_t size_bytes) { return kPooled ? pool().take(size_bytes) : ::operator new(size_bytes); }

void give_block(void* block, std::size_t size_bytes) noexcept {
  if (kPooled) {
    pool().give(block, size_bytes);
  } else {
    ::operator delete(block);
  }
}

void* take_pages(std::size_t size_bytes) {
  void* const pages = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return pages;
}

void* grow_pages(void* pages, std::size_t size_bytes, std::size_t new_size_bytes) {
  void* const grown = ::mremap(pages, size_bytes, new_size_bytes, MREMAP_MAYMOVE);
  if (grown == MAP_FAILED) throw std::bad_alloc();
  return grown;
}

void give_pages(void* pages, std::size_t size_bytes) noexcept { ::munmap(pages, size_bytes); }

void empty_pages(void* pages, std::size_t size_bytes) noexcept {
  if (::madvise(pages, size_bytes, MADV_DONTNEED) != 0) std::memset(pages, 0, size_bytes);  // locked memory stays
}

}  // namespace sluice
