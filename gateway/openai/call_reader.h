// Reads what a call asks for out of its JSON body, and edits the body by splices: what is not edited reaches the
// upstream byte for byte.
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

// A member that bounds the output. `value` none: null, 0 or below, which servers read as "no bound".
struct OutputCap {
  std::string_view name;
  Member member;
  std::optional<std::uint64_t> value;
};

struct CallBody {
  WipedString model;             // unescaped
  WipedString stored_prompt;     // responses: the id in 'prompt', unescaped; empty: none
  WipedString prompt_cache_key;  // unescaped; empty: none
  bool stream = false;
  bool include_usage = false;  // the client asked for the usage chunk
  bool n_present = false;
  std::uint64_t prompts = 1;  // of completions, or inputs of embeddings
  std::uint64_t choices = 1;  // max(n, best_of) × number of prompts (completions), inputs do not count
  // The smallest cap given: max_completion_tokens, max_tokens or max_output_tokens.
  std::optional<std::uint64_t> output_cap;
  std::uint64_t prompt_estimate = 0;  // tokens: text bytes of the prompt ÷ 4, rounded up; base64 is not text

  // Where edits go. Offsets count from the first byte of the body.
  std::size_t object_begin = 0;  // of '{'
  bool object_empty = false;     // "{}": an inserted member takes no comma
  Member model_member, stream_options, include_usage_member, cache_key_member;
  bool stream_options_null = false;   // null, to be replaced as a whole
  bool stream_options_empty = false;  // {}: an inserted member takes no comma
  // The caps given, in their order in the body. The last is what llama.cpp reads beside the dialect's own.
  static constexpr std::size_t kMaxCaps = 3;
  std::array<OutputCap, kMaxCaps> caps{};
  std::size_t cap_count = 0;
};

// One simdjson On-Demand walk over all top-level members, unescaping each name.
// REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `body` (Buffer::prepare gives them).
// Errors (all kBadRequest, static text): not an object, a member that we read or edit occurs twice (unescaped, ASCII
// case-folded), wrong type, bytes other than white space behind the object, model missing, a value that this endpoint
// does not support (responses: background true), or that refers to what the model server stores (stored_state.h). The id
// of a stored prompt is told, for the caller to decide. A name that differs from one of ours in case alone is refused
// too: a server that folds case would read it.
// Thread: one at a time; a worker keeps its own, because the parser's memory is reused.
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
  bool add_include_usage = false;                               // set stream_options.include_usage to true
  std::optional<std::uint64_t> clamp_output_to = std::nullopt;  // per choice
  std::string_view model = {};                                  // the upstream's name of the model; empty: as asked
  // The member that a cap goes into where the body has none, of a chat; empty: max_completion_tokens.
  std::string_view cap_member = {};
  std::string_view prompt_cache_key = {};  // what leaves in its place; empty: as asked
};

// The most output that a choice may have by the caps in the edited body, the larger where they differ, because servers
// go by one or the other. None: it names no cap, or one that bounds nothing.
[[nodiscard]] std::optional<std::uint64_t> cap_sent(const CallBody& call,
                                                    std::optional<std::uint64_t> clamp_output_to) noexcept;

// The two names that a cap has in chats.
inline constexpr std::string_view kMaxTokens = "max_tokens";
inline constexpr std::string_view kMaxCompletionTokens = "max_completion_tokens";
// The member that a cap is inserted as. `of_chats`: Edits::cap_member.
[[nodiscard]] std::string_view cap_member(Dialect dialect, std::string_view of_chats) noexcept;

// The edited body as parts: views into `body`, and into `scratch` for what was put in. At most kMaxParts.
struct EditedBody {
  static constexpr std::size_t kMaxParts = 15;  // seven splices and what stands between them
  std::array<std::string_view, kMaxParts> parts{};
  std::size_t count = 0;
  WipedString scratch;  // REQUIRES: not moved or changed while the parts are in use
};
// Every cap present ends at or below the clamp; a value that is already there stays as it was spelt. With no cap
// present the endpoint's own is inserted.
// Lifetime: `body` and `into` outlive the use of the parts.
void edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits,
               EditedBody& into);

}  // namespace sluice::openai
