// A whole answer that is no JSON: sound, or a text. Nothing in it says anything of itself.
#pragma once

#include "dialect/answer.h"
#include "dialect/call_body.h"

namespace sluice::dialect {

// Counts what passes.
// Thread: one.
class PlainAnswer final : public WholeAnswer {
 public:
  explicit PlainAnswer(AnswerForm form) noexcept : form_(form) {}
  void take(std::string_view bytes) override { bytes_ += bytes.size(); }
  // It is whole when its transfer is.
  [[nodiscard]] Form form() const noexcept override { return Form::kWhole; }
  // A text may be empty, where nobody spoke, and so may a file; sound may not.
  [[nodiscard]] bool is_answer() const noexcept override { return bytes_ != 0 || form_ != AnswerForm::kBytes; }
  [[nodiscard]] bool says_error() const noexcept override { return false; }
  [[nodiscard]] Ending ending() const noexcept override { return Ending::kComplete; }
  [[nodiscard]] std::optional<UsageReading> told() const noexcept override { return std::nullopt; }
  [[nodiscard]] std::string_view model() const noexcept override { return {}; }
  [[nodiscard]] std::uint64_t text_bytes() const noexcept override { return form_ == AnswerForm::kText ? bytes_ : 0; }

 private:
  AnswerForm form_;
  std::uint64_t bytes_ = 0;
};

}  // namespace sluice::dialect
