// W3C Trace Context, level 1: which trace a call belongs to, handed on to the upstream.
//
//   traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//                version, 16 bytes of trace id, 8 bytes of the parent's span id, flags; lower-case hex
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::observe {

struct TraceContext {
  static constexpr std::size_t kTextBytes = 55;
  using Text = std::array<char, kTextBytes>;

  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;  // bit 0: sampled

  // Nothing: malformed, version ff, or an id of zeros, which the standard says to ignore.
  [[nodiscard]] static std::optional<TraceContext> parse(std::string_view traceparent) noexcept;
  // The same trace with a span of our own, for the next hop.
  [[nodiscard]] TraceContext with_span(std::uint64_t span) const noexcept;
  [[nodiscard]] Text text() const noexcept;
  bool operator==(const TraceContext&) const = default;
};

}  // namespace sluice::observe
