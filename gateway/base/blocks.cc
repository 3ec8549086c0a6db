#include "base/task.h"

#include <array>
#include <new>

namespace sluice::detail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kPooled = false;  // a sanitizer has to see every frame come and go
#else
constexpr bool kPooled = true;
#endif

constexpr std::size_t kStepBytes = 64;
constexpr std::size_t kClasses = 96;           // frames of up to 6 KiB; larger ones go back at once
constexpr std::size_t kKeptBytes = 64 * 1024;  // of each class

// Free frames of one thread, by size.
class FramePool final {
 public:
  ~FramePool() {
    for (Free*& first : free_) {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
  }

  void* take(std::size_t size_bytes) {
    const std::size_t which = class_of(size_bytes);
    if (which >= kClasses) return ::operator new(size_bytes);
    Free* const first = free_[which];
    if (first == nullptr) return ::operator new((which + 1) * kStepBytes);
    free_[which] = first->next;
    --kept_[which];
    return first;
  }

  void give(void* frame, std::size_t size_bytes) noexcept {
    const std::size_t which = class_of(size_bytes);
    if (which >= kClasses || (kept_[which] + 1) * (which + 1) * kStepBytes > kKeptBytes) {
      ::operator delete(frame);
      return;
    }
    free_[which] = new (frame) Free{free_[which]};
    ++kept_[which];
  }

 private:
  struct Free {
    Free* next;
  };
  static std::size_t class_of(std::size_t size_bytes) noexcept { return (size_bytes - 1) / kStepBytes; }

  std::array<Free*, kClasses> free_{};
  std::array<std::size_t, kClasses> kept_{};
};

FramePool& pool() noexcept {
  thread_local FramePool frames;
  return frames;
}

}  // namespace

void* take_frame(std::size_t size_bytes) { return kPooled ? pool().take(size_bytes) : ::operator new(size_bytes); }

void give_frame(void* frame, std::size_t size_bytes) noexcept {
  if (kPooled) {
    pool().give(frame, size_bytes);
  } else {
    ::operator delete(frame);
  }
}

}  // namespace sluice::detail
