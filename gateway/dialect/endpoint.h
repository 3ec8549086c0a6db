// One endpoint: what is true of it for everybody who handles a call of it, whatever its dialect.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sluice::dialect {

// What a call carries.
enum class BodyKind : std::uint8_t { kNone, kJson, kMultipart };

// What is done with a call.
enum class Work : std::uint8_t {
  kGenerate,    // a model writes an answer, which counts and may stream
  kEmbed,       // a model reads, and what it answers counts nothing
  kCount,       // a prompt is counted: nothing is generated, and nothing is charged
  kListModels,  // answered here
  kShowModel,   // answered here; the model's name stands behind the path
};

// Which agents take calls of it.
enum class Agents : std::uint8_t {
  kNone,       // it is answered here
  kEvery,      // also those that say nothing of what they take: they were built when these were all endpoints
  kWhoSaysSo,  // those whose hello names it
};

// A row of a dialect's table.
struct Endpoint {
  // "chat.completions": in audit records, in metrics, and what gateway and agent call it between themselves. No two
  // endpoints of any dialects have one name, and none is given to another later.
  std::string_view name;
  std::string_view method;  // "POST"
  std::string_view path;    // "/v1/chat/completions"; with kShowModel the beginning of it, up to the name
  BodyKind body = BodyKind::kNone;
  Work work = Work::kGenerate;
  Agents agents = Agents::kWhoSaysSo;
  bool asks_for_usage = false;  // a stream tells its usage only if it is asked to
  std::uint8_t own = 0;         // the dialect's own mark
};

// No model is called.
[[nodiscard]] constexpr bool is_answered_here(const Endpoint& endpoint) noexcept {
  return endpoint.work == Work::kListModels || endpoint.work == Work::kShowModel;
}

// Whether the endpoint takes `method`; HEAD where it takes GET. Error: kMethodNotAllowed.
[[nodiscard]] Status check_method(const Endpoint& endpoint, std::string_view method) noexcept;

// For the Allow field: "GET, HEAD, OPTIONS" or "POST, OPTIONS".
[[nodiscard]] std::string_view allowed_methods(const Endpoint& endpoint) noexcept;

}  // namespace sluice::dialect
