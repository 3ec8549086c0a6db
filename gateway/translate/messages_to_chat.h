// Anthropic's Messages on a server of chat completions. What survives and what cannot stands in docs/clients.md.
#pragma once

#include "dialect/translation.h"

namespace sluice::translate {

class MessagesToChat final : public dialect::Translation {
 public:
  [[nodiscard]] std::string_view from() const noexcept override { return "messages"; }
  [[nodiscard]] std::string_view to() const noexcept override { return "chat.completions"; }
  [[nodiscard]] Status append_call(Buffer& out, std::string_view body) const noexcept override;
  [[nodiscard]] std::unique_ptr<dialect::EventTranslator> events(const dialect::AnswerFacts& facts) const override;
  [[nodiscard]] dialect::Converted append_answer(Buffer& out, std::string_view answer,
                                                 const dialect::AnswerFacts& facts) const override;
};

}  // namespace sluice::translate
