// Reads what a call asks for out of its JSON body, and edits the body by splices: what is not edited reaches the upstream
// byte for byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "openai/endpoint.h"

namespace sluice::openai {

using WipedString = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

// A member of the body's top level (or of stream_options): where its value's text stands. length 0: absent.
struct Member {
  std::size_t offset = 0;
  std::size_t length = 0;
  [[nodiscard]] bool present() const noexcept { return length != 0; }
};

struct CallBody {
  WipedString model;           // unescaped
  bool stream = false;
  bool include_usage = false;  // the client asked for the usage chunk
  bool n_present = false;
  std::uint64_t choices = 1;   // n × number of prompts (completions), inputs do not count
  std::optional<std::uint64_t> output_cap;  // the smallest cap given: max_completion_tokens, max_tokens or max_output_tokens
  std::uint64_t prompt_estimate = 0;        // tokens: text bytes of the prompt ÷ 4 rounded up, base64 data not counted as text

  // Where edits go. Offsets count from the first byte of the body.
  std::size_t object_begin = 0;  // of '{'
  bool object_empty = false;     // "{}": an inserted member takes no comma
  Member model_member, stream_options, include_usage_member, cap_member;
  std::string_view cap_name;     // the member to clamp: the client's, else the endpoint's own
};

// One simdjson On-Demand walk over all top-level members, unescaping each name.
// REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `body` (Buffer::prepare gives them).
// Errors (all kBadRequest, static text): not an object, a member that we read or edit occurs twice (unescaped, ASCII
// case-folded), wrong type, bytes other than white space behind the object, model missing, a value that this endpoint does not support
// (responses: background true, previous_response_id).
// A parser per worker is kept by the caller.
class CallReader final {
 public:
  CallReader();
  ~CallReader();
  [[nodiscard]] Result<CallBody> read(const Endpoint& endpoint, std::string_view body) noexcept;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

// What to change in a body.
struct Edits {
  bool add_include_usage = false;              // set stream_options.include_usage to true
  std::optional<std::uint64_t> clamp_output_to;  // per choice
  std::string_view model;                      // the upstream's name of the model; empty: as asked
};

// The edited body as parts: views into `body`, and into `scratch` for what was put in. At most kMaxParts.
struct EditedBody {
  static constexpr std::size_t kMaxParts = 9;
  std::array<std::string_view, kMaxParts> parts{};
  std::size_t count = 0;
  WipedString scratch;  // REQUIRES: not moved or changed while the parts are in use
};
void edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits, EditedBody& into);

}  // namespace sluice::openai
