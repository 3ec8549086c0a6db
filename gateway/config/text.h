// Text out of parts, and numbers out of text. Debian builds Abseil with a string_view of its own, which
// std::string_view does not convert to; hence not absl::StrCat.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

inline void append_part(std::string& to, std::string_view part) { to += part; }
template <std::integral T>
void append_part(std::string& to, T number) {
  to += std::to_string(number);
}

template <class... Parts>
[[nodiscard]] std::string cat(const Parts&... parts) {
  std::string all;
  (append_part(all, parts), ...);
  return all;
}

// How a secret of the store may be called.
[[nodiscard]] inline bool is_secret_name(std::string_view name) noexcept {
  constexpr std::string_view kOthers = "._-";
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

template <class List>
[[nodiscard]] std::string join(const List& list, std::string_view between) {
  std::string all;
  for (const auto& item : list) {
    if (&item != &*std::begin(list)) all += between;
    all += item;
  }
  return all;
}

// Digits alone, and no more than fit.
template <std::unsigned_integral T>
[[nodiscard]] bool parse_whole(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

[[nodiscard]] inline bool remove_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}
[[nodiscard]] inline bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace sluice::config
