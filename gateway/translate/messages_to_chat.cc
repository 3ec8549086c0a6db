#include "translate/messages_to_chat.h"

#include "translate/chat_call.h"
#include "translate/message_answer.h"
#include "translate/message_stream.h"

namespace sluice::translate {

Status MessagesToChat::append_call(Buffer& out, std::string_view body) const noexcept {
  return append_chat_call(out, body);
}

std::unique_ptr<dialect::EventTranslator> MessagesToChat::events(const dialect::AnswerFacts& facts) const {
  return std::make_unique<MessageStream>(facts);
}

dialect::Converted MessagesToChat::append_answer(Buffer& out, std::string_view answer,
                                                 const dialect::AnswerFacts& facts) const {
  return append_message(out, answer, facts);
}

}  // namespace sluice::translate
