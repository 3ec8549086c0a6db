// Walks a whole JSON answer as it passes, in pieces of any size and in bounded memory: whether it is an answer at all,
// its usage wherever it stands, its model, and how much text is in it.
//
//   {"type":"message","model":"…","content":[{"type":"text","text":"counted"}],"usage":{read}}
//   {"input_tokens":12}                                              the answer of count_tokens
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "anthropic/endpoint.h"
#include "base/bytes.h"
#include "dialect/answer.h"
#include "wire/string_in_pieces.h"

namespace sluice::anthropic {

// Thread:   one.
// Lifetime: the endpoint outlives it. Holds no more of the answer than a name and a usage object; wiped.
class MessageWalk final : public dialect::WholeAnswer {
 public:
  explicit MessageWalk(const Endpoint& endpoint) noexcept : api_(api_of(endpoint)) {}
  MessageWalk(const MessageWalk&) = delete;
  MessageWalk& operator=(const MessageWalk&) = delete;

  void take(std::string_view bytes) override;

  [[nodiscard]] Form form() const noexcept override { return form_; }
  // It has "content", as an array; of count_tokens "input_tokens".
  [[nodiscard]] bool is_answer() const noexcept override { return has_own_; }
  // It has an "error" that is none of null and "", or is of the type "error".
  [[nodiscard]] bool says_error() const noexcept override { return says_error_; }
  // A message says why it stopped; whatever that is, it is whole.
  [[nodiscard]] dialect::Ending ending() const noexcept override { return dialect::Ending::kComplete; }
  [[nodiscard]] std::optional<dialect::UsageReading> told() const noexcept override { return usage_; }
  [[nodiscard]] std::string_view model() const noexcept override { return model_; }
  [[nodiscard]] std::uint64_t text_bytes() const noexcept override { return text_bytes_; }

 private:
  // Of the top level's members those that mean something, and of those in the content those that are no text.
  enum class Key : std::uint8_t { kOther, kNoText, kContent, kUsage, kModel, kError, kType, kInputTokens };

  const char* step(const char* at);
  const char* through_string(const char* at, const char* end);
  void begin_string() noexcept;
  void end_string();
  void open(const char* bracket);
  void close(const char* bracket);
  void end_capture(const char* behind);
  [[nodiscard]] bool in_object() const noexcept {
    return depth_ > kTrackedLevels || ((objects_ >> (depth_ - 1)) & 1U) != 0;
  }
  [[nodiscard]] bool at_name() const noexcept { return in_object() && !after_colon_; }
  static Key key_of(std::string_view name) noexcept;
  static constexpr std::uint32_t kTrackedLevels = 64;

  const Api api_;
  Form form_ = Form::kOpen;
  bool has_own_ = false;
  bool says_error_ = false;

  std::uint32_t depth_ = 0;
  std::uint64_t objects_ = 0;  // a bit for each of the first levels: it is an object
  Key top_ = Key::kOther;      // the top level's member that is being walked
  Key key_ = Key::kOther;      // the innermost one
  bool after_colon_ = false;
  wire::StringInPieces string_;  // that is being walked; of text nothing is kept

  Buffer captured_;                     // of the usage object
  const char* capture_from_ = nullptr;  // where the rest of it begins in the bytes at hand
  bool captures_ = false;
  std::optional<dialect::UsageReading> usage_;
  std::string model_;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace sluice::anthropic
