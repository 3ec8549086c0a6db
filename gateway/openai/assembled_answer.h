// A stream as the whole answer that it should have been, for a server that streams unasked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/wiped_string.h"
#include "openai/answer_events.h"
#include "openai/call_reader.h"
#include "openai/endpoint.h"
#include "wire/sse_events.h"

namespace sluice::openai {

// Thread:   one.
// Lifetime: the endpoint outlives it.
class AssembledAnswer final : public dialect::Assembly {
 public:
  explicit AssembledAnswer(const Endpoint& endpoint) noexcept : endpoint_(endpoint) {}

  void take(Buffer& events) override;
  [[nodiscard]] std::size_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] std::string_view error() const noexcept override { return error_; }

  // Appends the answer: of chat and completions each choice with its strings joined and its calls, of Responses what
  // their last event holds. Not: a stream that said nothing, or log probabilities, which cannot be joined without
  // knowing their form.
  [[nodiscard]] Converted append_to(Buffer& out) const override;

 private:
  // A member that grows: the inside of a string, or the last value of another kind.
  struct Part {
    WipedString name;
    WipedString value;
    bool string = false;
  };
  struct ToolCall {
    std::uint64_t index = 0;
    std::vector<Part> members;  // but for "function"
    std::vector<Part> function;
  };
  struct Choice {
    std::uint64_t index = 0;
    std::vector<Part> message;  // of chat the delta's members, of completions "text"
    std::vector<ToolCall> calls;
    WipedString finish_reason;
  };

  void take_data(std::string_view data);
  void take_choice(std::string_view text);
  void take_members(std::string_view object, Choice& choice);
  void take_calls(std::string_view list, Choice& choice);
  void take_member(std::vector<Part>& parts, std::string_view name, std::string_view value);
  // Null: it cannot be joined, or is too much.
  template <class Row>
  Row* row_of(std::vector<Row>& rows, std::uint64_t index);
  void append_choice(Buffer& out, const Choice& choice) const;

  const Endpoint& endpoint_;
  wire::EventSplitter splitter_;
  Buffer joined_;
  std::vector<Part> head_;  // id, created, model, …
  std::vector<Choice> choices_;
  WipedString usage_, response_, error_;
  std::size_t size_bytes_ = 0;
  std::uint64_t row_count_ = 0;  // choices and calls
  bool odd_ = false;             // something that cannot be joined
};

}  // namespace sluice::openai
