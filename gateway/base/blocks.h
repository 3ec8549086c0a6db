// Blocks of memory that come and go all the time: coroutine frames, buffers. Kept by the thread that gave them back.
#pragma once

#include <cstddef>

namespace sluice {

// Aligned as operator new aligns. Throws std::bad_alloc.
[[nodiscard]] void* take_block(std::size_t size_bytes);
// `size_bytes` as it was asked for. Any thread. What the block holds is not wiped.
void give_block(void* block, std::size_t size_bytes) noexcept;

// Base of a class whose objects come and go with each call.
struct Pooled {
  static void* operator new(std::size_t size_bytes) { return take_block(size_bytes); }
  static void operator delete(void* block, std::size_t size_bytes) noexcept { give_block(block, size_bytes); }
};

}  // namespace sluice
