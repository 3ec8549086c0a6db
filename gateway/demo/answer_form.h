// How an answer looks in each dialect: the events of a streamed one, or one JSON text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "demo/ask.h"
#include "demo/event_text.h"
#include "demo/faults.h"

namespace sluice::demo {

// One answer under way. What it says follows from the request alone.
struct Plan {
  Ask ask;
  Faults faults;
  std::string id;                 // digits and letters
  std::uint64_t created = 0;      // seconds since 1970
  std::vector<std::string> said;  // the tokens of ask.said, escaped for a JSON string; empty: words
  std::uint64_t tokens = 0;       // of each choice
  bool hit_cap = false;           // finish_reason "length"
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept { return tokens * ask.choices; }
};

// The events of a streamed answer, in the order of the calls below.
class AnswerForm {
 public:
  virtual ~AnswerForm() = default;
  virtual void open(EventText& out) = 0;
  // Token `index` of every choice.
  virtual void token(EventText& out, std::uint64_t index) = 0;
  // One delta that makes an event of about `size_bytes`.
  virtual void big(EventText& out, std::uint64_t size_bytes) = 0;
  // finish_reason, usage where it belongs; no [DONE].
  virtual void close(EventText& out) = 0;
};

// Lifetime: the plan outlives the form.
[[nodiscard]] std::unique_ptr<AnswerForm> make_form(const Plan& plan);

// The same answer in one piece.
[[nodiscard]] std::string whole_answer(const Plan& plan);

// A JSON text in tokens of a few bytes, each escaped for a JSON string.
[[nodiscard]] std::vector<std::string> tokens_of(std::string_view json);

// {"prompt_tokens":…,…} after `generated` tokens in all, or in the words of Responses.
[[nodiscard]] std::string usage_object(const Plan& plan, std::uint64_t generated);

// The text of one choice, or the arguments of its tool call.
[[nodiscard]] std::string choice_text(const Plan& plan, std::uint64_t choice);
// Token `index` of it.
[[nodiscard]] std::string_view choice_token(const Plan& plan, std::uint64_t choice, std::uint64_t index) noexcept;

}  // namespace sluice::demo
