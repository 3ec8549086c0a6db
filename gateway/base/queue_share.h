// What a user gets of the slots that several calls wait for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Which calls get a slot first.
enum class Priority : std::uint8_t { kHigh, kNormal, kLow };
inline constexpr std::size_t kPriorities = 3;
[[nodiscard]] constexpr const char* to_string(Priority priority) noexcept {
  return priority == Priority::kHigh ? "high" : priority == Priority::kNormal ? "normal" : "low";
}

struct QueueShare {
  std::uint32_t weight = 1;  // against other users of the same priority; from 1 on
  Priority priority = Priority::kNormal;
  bool operator==(const QueueShare&) const = default;
};

}  // namespace sluice
