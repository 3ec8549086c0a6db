// The endpoints of Anthropic's dialect that this gateway serves: one row each, and nothing else is forwarded.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dialect/endpoint.h"

namespace sluice::anthropic {

using dialect::Endpoint;

enum class Api : std::uint8_t { kMessages, kCountTokens };

[[nodiscard]] constexpr Api api_of(const Endpoint& endpoint) noexcept { return static_cast<Api>(endpoint.own); }

[[nodiscard]] std::span<const Endpoint> endpoints() noexcept;
[[nodiscard]] const Endpoint& endpoint_of(Api api) noexcept;

// What is wrong with a path that is none of them; null: it is no path that a client of this API asks for.
[[nodiscard]] const char* advice_for(std::string_view path) noexcept;
// The same to who is known for such a client: never null.
[[nodiscard]] const char* advice_to_clients(std::string_view path) noexcept;

}  // namespace sluice::anthropic
