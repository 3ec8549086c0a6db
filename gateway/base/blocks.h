// Blocks of memory that come and go all the time: coroutine frames, buffers. Kept by the thread that gave them back.
#pragma once

#include <cstddef>

namespace sluice {

// Aligned as operator new aligns. Throws std::bad_alloc.
[[nodiscard]] void* take_block(std::size_t size_bytes);
// `size_bytes` as it was asked for. Any thread. What the block holds is not wiped.
void give_block(void* block, std::size_t size_bytes) noexcept;

// --- pages, for what is large: they grow without a copy, and what they held is gone with them ---

// From here on a block is worth its own pages; none under a sanitizer, which would not see them come and go.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::size_t kPagesFromBytes = ~std::size_t{0};
#else
inline constexpr std::size_t kPagesFromBytes = std::size_t{1} << 20;
#endif

// All bytes are 0. Throws std::bad_alloc, as grow_pages() does, which then leaves what is there as it was.
[[nodiscard]] void* take_pages(std::size_t size_bytes);
// They may move: what they hold stays.
[[nodiscard]] void* grow_pages(void* pages, std::size_t size_bytes, std::size_t new_size_bytes);
void give_pages(void* pages, std::size_t size_bytes) noexcept;
// Makes all bytes 0 by giving back the memory, not the addresses.
void empty_pages(void* pages, std::size_t size_bytes) noexcept;

// Base of a class whose objects come and go with each call.
struct Pooled {
  static void* operator new(std::size_t size_bytes) { return take_block(size_bytes); }
  static void operator delete(void* block, std::size_t size_bytes) noexcept { give_block(block, size_bytes); }
};

}  // namespace sluice
