// Which endpoints a model server has, of those that many have not. It is asked with a call that says nothing: POST {}.
//
//   400, 422                 it has it, and says what the call lacks     vLLM, SGLang, Ollama
//   500 that says so         the same: it names what the call lacks      llama.cpp
//   404, 405, 501            it has not
//   200 and anything else    nobody can tell: LM Studio answers any path so
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/endpoint.h"

namespace sluice::agent {

inline constexpr std::string_view kEmptyCall = "{}";

[[nodiscard]] constexpr bool is_had(unsigned status, std::string_view body) noexcept {
  const auto names = [body](std::string_view member) { return body.find(member) != std::string_view::npos; };
  return status == 400 || status == 422 || (status == 500 && (names("'messages'") || names("'input'")));
}

// The endpoints that a server is asked for. Of those that the owner lets through by name (`allowed`, as
// ForwardedCalls has it) the owner knows.
[[nodiscard]] std::vector<dialect::Endpoint> asked_endpoints(std::span<const dialect::Endpoint> endpoints,
                                                             const std::vector<std::string>& allowed);

}  // namespace sluice::agent
