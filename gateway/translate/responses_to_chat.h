// Calls of POST /v1/responses at a place that has POST /v1/chat/completions alone.
#pragma once

#include "dialect/translation.h"

namespace sluice::translate {

// Thread:   any: it has no state.
// Lifetime: outlives every call.
class ResponsesToChat final : public dialect::Translation {
 public:
  [[nodiscard]] std::string_view from() const noexcept override { return "responses"; }
  [[nodiscard]] std::string_view to() const noexcept override { return "chat.completions"; }
  [[nodiscard]] Status append_call(Buffer& out, std::string_view body) const noexcept override;
  void append_settings(Buffer& out, std::string_view body) const override;
  [[nodiscard]] std::unique_ptr<dialect::EventTranslator> events(const dialect::AnswerFacts& facts) const override;
  [[nodiscard]] dialect::Converted append_answer(Buffer& out, std::string_view answer,
                                                 const dialect::AnswerFacts& facts) const override;
};

}  // namespace sluice::translate
