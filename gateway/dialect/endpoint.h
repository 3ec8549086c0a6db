// One endpoint: what is true of it for everybody who handles a call of it, whatever its dialect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/kept.h"
#include "base/result.h"

namespace sluice::dialect {

// What a call carries.
enum class BodyKind : std::uint8_t { kNone, kJson, kMultipart };

// What is done with a call.
enum class Work : std::uint8_t {
  kGenerate,    // a model writes an answer, which counts and may stream
  kMake,        // a model makes what no cap bounds: sound, what it hears, images. It may stream
  kEmbed,       // a model reads, and what it answers counts nothing
  kCount,       // a prompt is counted: nothing is generated, and nothing is charged
  kStored,      // what the model server keeps of an earlier call is read, ended or deleted: nothing is charged
  kUpload,      // the model server is given a file to keep: nothing is charged
  kBatch,       // the calls in a file that it keeps are made in the background
  kListStored,  // answered here: what is kept of the caller's
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
  // "/v1/chat/completions"; with kShowModel the beginning of it, up to the name, and with kStored up to the id.
  std::string_view path;
  BodyKind body = BodyKind::kNone;
  Work work = Work::kGenerate;
  Agents agents = Agents::kWhoSaysSo;
  bool asks_for_usage = false;      // a stream tells its usage only if it is asked to
  std::uint8_t own = 0;             // the dialect's own mark
  std::string_view behind_id = {};  // of kStored: how the path goes on, "/cancel"
  // Many model servers have it not: an agent asks its own, and else takes no calls of it.
  bool servers_are_asked = false;
  // What a call of kStored, kUpload, kBatch and kListStored is about.
  Kept kept = Kept::kResponse;
  // Of kStored: the answer is what is kept itself, whatever its bytes are.
  bool answers_bytes = false;
};

// No model is called.
[[nodiscard]] constexpr bool is_answered_here(const Endpoint& endpoint) noexcept {
  return endpoint.work == Work::kListModels || endpoint.work == Work::kShowModel;
}

// It names what is kept, or makes it; several of these may share a path.
[[nodiscard]] constexpr bool is_about_kept(const Endpoint& endpoint) noexcept {
  return endpoint.work == Work::kStored || endpoint.work == Work::kUpload || endpoint.work == Work::kBatch ||
         endpoint.work == Work::kListStored;
}

// The id of something that a model server keeps, as it stands in a path and in bodies: letters, digits, "_", "-" and "=",
// so that it needs no escape anywhere and leads nowhere else. Not the names of operations that may stand in its place.
inline constexpr std::size_t kMostIdBytes = 256;
[[nodiscard]] bool is_stored_id(std::string_view text) noexcept;

// What stands in `path` for what is open in the endpoint's own: the name of kShowModel, still percent-encoded, or the id
// of kStored; else "". Nothing: the path is not the endpoint's.
[[nodiscard]] std::optional<std::string_view> match_path(const Endpoint& endpoint, std::string_view path) noexcept;

// Whether a query may go on with a call of kStored: names, values and what stands between them, and no more of it than a
// client needs.
[[nodiscard]] bool is_plain_query(std::string_view query) noexcept;

// What a path takes: a bit for each.
enum class Methods : std::uint8_t { kNone = 0, kGet = 1, kPost = 2, kDelete = 4 };
[[nodiscard]] constexpr Methods operator|(Methods a, Methods b) noexcept {
  return static_cast<Methods>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
[[nodiscard]] Methods methods_of(const Endpoint& endpoint) noexcept;

// Whether a path that takes `methods` takes `method`; HEAD where it takes GET. Error: kMethodNotAllowed.
[[nodiscard]] Status check_method(Methods methods, std::string_view method) noexcept;

// For the Allow field: "GET, HEAD, OPTIONS" or "POST, OPTIONS".
[[nodiscard]] std::string_view allowed_methods(Methods methods) noexcept;

}  // namespace sluice::dialect
