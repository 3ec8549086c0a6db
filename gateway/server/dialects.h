// Which dialects this program speaks.
#pragma once

#include "anthropic/anthropic.h"
#include "dialect/table.h"
#include "openai/openai.h"
#include "translate/messages_to_chat.h"
#include "translate/responses_to_chat.h"

namespace sluice::server {

// A new dialect or translation is a member and its place in the table.
// Lifetime: outlives everything that handles calls.
class Dialects final {
 public:
  Dialects() = default;
  Dialects(const Dialects&) = delete;
  Dialects& operator=(const Dialects&) = delete;
  [[nodiscard]] const dialect::Table& table() const noexcept { return table_; }

 private:
  const openai::OpenAi openai_{};
  const anthropic::Anthropic anthropic_{};
  const translate::MessagesToChat messages_to_chat_{};
  const translate::ResponsesToChat responses_to_chat_{};
  const dialect::Table table_{{&openai_, &anthropic_}, {&messages_to_chat_, &responses_to_chat_}};
};

}  // namespace sluice::server
