// A JSON string that arrives in pieces of any size: how long it is, and its beginning. Nothing else of it is kept.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "wire/skim.h"

namespace sluice::wire {

// Thread:   one.
// Lifetime: holds no view; what it keeps is wiped with it.
class StringInPieces final {
 public:
  static constexpr std::uint32_t kMostKept = 320;

  StringInPieces() noexcept {}  // kept_ is left as it is: it is large, and nothing of it is read
  ~StringInPieces() { wipe(kept_.data(), kept_.size()); }
  StringInPieces(const StringInPieces&) = delete;
  StringInPieces& operator=(const StringInPieces&) = delete;

  // A string has begun: its opening quote is behind. Its first `room` bytes are kept. REQUIRES: room <= kMostKept.
  void begin(std::uint32_t room) noexcept {
    open_ = true;
    size_bytes_ = 0;
    kept_bytes_ = 0;
    room_ = room;
  }
  [[nodiscard]] bool is_open() const noexcept { return open_; }

  // Takes what [at, end) has of it; returns the place behind its closing quote, and is not open any more, or `end`.
  // REQUIRES: is_open(); at != end, but right behind begin().
  const char* take(const char* at, const char* end) noexcept {
    const char* const begin = at;
    if (escaped_) {
      escaped_ = false;
      note_escape(*at++);
    }
    for (;;) {
      at = find_quote_or_backslash(at, end);
      if (at == end) break;
      if (*at == '"') {
        note(begin, at);
        open_ = false;
        return at + 1;
      }
      if (++at == end) {
        escaped_ = true;
        break;
      }
      note_escape(*at++);
    }
    note(begin, end);
    return end;
  }

  // As it stands in the text, with its escapes. Valid until the next begin() or take().
  [[nodiscard]] std::string_view beginning() const noexcept { return {kept_.data(), kept_bytes_}; }
  // An escape counts as what it mostly stands for.
  [[nodiscard]] std::int64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  void note_escape(char escaped) noexcept { size_bytes_ -= escaped == 'u' ? 4 : 1; }
  void note(const char* begin, const char* end) noexcept {
    const auto size = static_cast<std::size_t>(end - begin);
    size_bytes_ += static_cast<std::int64_t>(size);
    if (kept_bytes_ == room_) return;
    const std::size_t kept = std::min<std::size_t>(size, room_ - kept_bytes_);
    std::copy_n(begin, kept, kept_.data() + kept_bytes_);
    kept_bytes_ += static_cast<std::uint32_t>(kept);
  }

  bool open_ = false;
  bool escaped_ = false;  // its next byte stands behind a backslash
  std::int64_t size_bytes_ = 0;
  std::uint32_t kept_bytes_ = 0, room_ = 0;
  std::array<char, kMostKept> kept_;
};

}  // namespace sluice::wire
