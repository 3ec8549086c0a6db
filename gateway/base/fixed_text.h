// A short text inside its owner: no allocation, trivially copyable. What does not fit is cut at a UTF-8 boundary.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

template <std::size_t kCapacity>
class FixedText final {
  static_assert(kCapacity > 0 && kCapacity < 65536);

 public:
  FixedText() noexcept = default;
  FixedText(std::string_view text) noexcept { assign(text); }  // NOLINT: a text is a text
  FixedText& operator=(std::string_view text) noexcept {
    assign(text);
    return *this;
  }

  void assign(std::string_view text) noexcept {
    std::size_t size = std::min(text.size(), kCapacity);
    if (size < text.size()) {
      while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    }
    if (size != 0) std::memcpy(bytes_.data(), text.data(), size);
    size_ = static_cast<std::uint16_t>(size);
  }

  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return kCapacity; }
  operator std::string_view() const noexcept { return view(); }  // NOLINT: a text is a text
  friend bool operator==(const FixedText& a, std::string_view b) noexcept { return a.view() == b; }

 private:
  std::uint16_t size_ = 0;
  std::array<char, kCapacity> bytes_;  // only the first size_ bytes are ever read
};

}  // namespace sluice
