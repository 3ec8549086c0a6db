#include "base/bytes.h"

#include <algorithm>

namespace sluice {

void Buffer::make_room(std::size_t size_bytes) {
  const std::size_t used = size();
  // Move down rather than grow, but only where the move is cheap beside what was consumed: linear time in all.
  if (capacity_ - used >= size_bytes && begin_ >= used) {
    std::memmove(block_, block_ + begin_, used);
    wipe(block_ + used, end_ - used);
    begin_ = 0;
    end_ = used;
    return;
  }
  if (in_pages()) {
    const std::size_t larger = std::max(end_ + size_bytes, 2 * capacity_);
    block_ = static_cast<char*>(grow_pages(block_, capacity_, larger));
    capacity_ = larger;
    return;
  }
  // Small steps first, for the many that stay small; then wide ones, for each step is a copy and a wipe.
  constexpr std::size_t kSmallestBlockBytes = 512;
  constexpr std::size_t kWideStepsBelowBytes = 32 * 1024;
  const std::size_t step = capacity_ < kWideStepsBelowBytes ? 4 * capacity_ : 2 * capacity_;
  const std::size_t wanted = std::max({used + size_bytes, step, kSmallestBlockBytes});
  char* const grown = static_cast<char*>(wanted < kPagesFromBytes ? take_block(wanted) : take_pages(wanted));
  if (used != 0) std::memcpy(grown, block_ + begin_, used);
  release();
  block_ = grown;
  capacity_ = wanted;
  begin_ = 0;
  end_ = used;
}

}  // namespace sluice
