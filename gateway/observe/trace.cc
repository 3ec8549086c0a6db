#include "observe/trace.h"

#include <algorithm>
#include <span>

namespace sluice::observe {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

bool read_hex(std::string_view text, std::span<std::uint8_t> into) noexcept {
  for (std::size_t i = 0; i < into.size(); ++i) {
    const std::size_t high = kDigits.find(text[2 * i]);
    const std::size_t low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    into[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

void write_hex(std::span<const std::uint8_t> bytes, char* into) noexcept {
  for (const std::uint8_t byte : bytes) {
    *into++ = kDigits[byte >> 4U];
    *into++ = kDigits[byte & 15U];
  }
}

void put(std::uint64_t number, std::uint8_t* into) noexcept {
  for (int i = 7; i >= 0; --i, number >>= 8U) into[i] = static_cast<std::uint8_t>(number);
}

bool all_zero(std::span<const std::uint8_t> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

}  // namespace

std::optional<TraceContext> TraceContext::parse(std::string_view text) noexcept {
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  TraceContext trace;
  if (text.size() < kTextBytes || !read_hex(text.substr(0, 2), version) || version[0] == 0xff) return std::nullopt;
  // Later versions may be longer, after another dash.
  const bool long_enough =
      version[0] == 0 ? text.size() == kTextBytes : text.size() == kTextBytes || text[kTextBytes] == '-';
  if (!long_enough || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  if (!read_hex(text.substr(3, 32), trace.trace_id) || !read_hex(text.substr(36, 16), trace.span_id))
    return std::nullopt;
  if (!read_hex(text.substr(53, 2), flags) || all_zero(trace.trace_id) || all_zero(trace.span_id)) return std::nullopt;
  trace.flags = flags[0];
  return trace;
}

TraceContext TraceContext::with_span(std::uint64_t span) const noexcept {
  TraceContext next = *this;
  put(span | 1U, next.span_id.data());
  return next;
}

TraceContext::Text TraceContext::text() const noexcept {
  Text text{};
  text[0] = text[1] = '0';
  text[2] = text[35] = text[52] = '-';
  write_hex(trace_id, text.data() + 3);
  write_hex(span_id, text.data() + 36);
  write_hex({&flags, 1}, text.data() + 53);
  return text;
}

}  // namespace sluice::observe
