// The control requests of a tunnel, as JSON: what gateway and agent tell each other about themselves.
//
//   POST /.sluice/v1/hello   Hello        -> HelloAnswer    first of all
//   GET  /.sluice/v1/health  -            -> Health lines   endless, one line at each change and every ten seconds
//   POST /.sluice/v1/renew   {}           -> {"csr": PEM}, then {"certificate": PEM chain} -> {}
//   POST /.sluice/v1/drain   {"scope": "tunnel" | "gateway"} -> {}   replacements first, then GOAWAY
//
// Unknown members are ignored, absent ones have defaults: the two ends may be of different versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cap_member.h"

namespace sluice::tunnel {

inline constexpr std::string_view kHelloPath = "/.sluice/v1/hello";
inline constexpr std::string_view kHealthPath = "/.sluice/v1/health";
inline constexpr std::string_view kRenewPath = "/.sluice/v1/renew";
inline constexpr std::string_view kDrainPath = "/.sluice/v1/drain";
inline constexpr std::size_t kControlBytes = 1024 * 1024;     // of one body
inline constexpr std::size_t kHealthBytes = 4 * 1024 * 1024;  // of one health line

// Of a call: the model that it is for, as the agent names it.
inline constexpr std::string_view kModelHeader = "x-sluice-model";
// A model's name as a header's value: what is not printable ASCII, and '%', goes as %XX.
[[nodiscard]] std::string encode_name(std::string_view name);

struct Hello {
  std::string gateway;     // its id
  std::string generation;  // of its start: another one means that it was restarted
  std::uint32_t workers = 1;
  std::uint32_t worker = 0;                // that owns this tunnel
  std::uint32_t tunnels_per_agent = 8;     // at most so many are welcome
  std::uint32_t reconnect_cap_ms = 5'000;  // longest pause between attempts in the first minute after a loss
  // The names of the endpoints whose calls it may send; empty: a gateway of before, which names none.
  std::vector<std::string> endpoints{};
  // The models that the agent is bound to; nothing: any, or the gateway does not say.
  std::optional<std::vector<std::string>> may_serve{};
};

struct HelloAnswer {
  std::string version;
  std::string boot;  // of the agent's start: health lines of another start count anew
  std::uint32_t tunnels = 0;
  bool usage_in_stream = true;  // its model server may be asked for usage in streams
  CapMember cap_member = CapMember::kAuto;
  // Of the endpoints that the hello named, those that it takes, by its own table; nothing: an agent of before this
  // member, which says nothing of it.
  std::optional<std::vector<std::string>> endpoints{};
  std::vector<std::string> allowed{};  // calls that its owner lets through beside them: "POST /v1/…"
};

enum class ModelState : std::uint8_t { kReady, kUnavailable };

struct ModelHealth {
  std::string name;
  ModelState state = ModelState::kReady;
  std::uint32_t slots = 0;           // calls that may run at once
  std::uint32_t busy = 0;            // calls that run now, whichever gateway sent them
  std::uint64_t created = 0;         // seconds since 1970; 0: the server does not say
  std::uint64_t context_tokens = 0;  // prompt and answer together; 0: the server does not say
  bool operator==(const ModelHealth&) const = default;
};

struct GpuHealth {
  std::string name;
  std::uint32_t percent = 0;
  std::uint64_t memory_used_bytes = 0;
  std::uint64_t memory_total_bytes = 0;
  bool operator==(const GpuHealth&) const = default;
};

struct Telemetry {
  std::uint32_t cpu_percent = 0;  // of the whole machine
  std::uint64_t memory_used_bytes = 0;
  std::uint64_t memory_total_bytes = 0;
  std::uint32_t queue = 0;  // calls taken and not yet answered by the model server
  std::vector<GpuHealth> gpus;
  bool operator==(const Telemetry&) const = default;
};

struct Health {
  std::uint64_t sequence = 0;  // rises with each line of one start, whichever tunnel carries it
  std::vector<ModelHealth> models;
  std::string trouble{};  // what is wrong with the model server, for people; empty: nothing
  std::vector<std::string>
      lacks{};  // endpoints that the agent takes and its model server has not, as far as it can tell
  Telemetry telemetry{};
};

// Text of others that people will see, on one line: what is no printable UTF-8 is replaced, and what is longer is cut.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t most_bytes);
inline constexpr std::size_t kTroubleBytes = 256;
// Models as people read them: the first few, and how many more.
[[nodiscard]] std::string list_names(const std::vector<std::string>& names);

enum class DrainScope : std::uint8_t { kTunnel, kGateway };

// Of a binding to more models than half a body holds nothing is said.
[[nodiscard]] std::string encode(const Hello& hello);
[[nodiscard]] std::string encode(const HelloAnswer& answer);
// Without the line's end. Of more models than a line holds the last are left out.
[[nodiscard]] std::string encode(const Health& health);
[[nodiscard]] std::string encode(DrainScope scope);
[[nodiscard]] std::string encode_csr(std::string_view csr);
[[nodiscard]] std::string encode_certificate(std::string_view certificate);

// Nothing: not what was expected.
[[nodiscard]] std::optional<Hello> decode_hello(std::string_view text);
[[nodiscard]] std::optional<HelloAnswer> decode_hello_answer(std::string_view text);
[[nodiscard]] std::optional<Health> decode_health(std::string_view text);
[[nodiscard]] std::optional<DrainScope> decode_drain(std::string_view text);
[[nodiscard]] std::optional<std::string> decode_csr(std::string_view text);
[[nodiscard]] std::optional<std::string> decode_certificate(std::string_view text);

}  // namespace sluice::tunnel
