#include "translate/responses_to_chat.h"

#include "translate/response_answer.h"
#include "translate/response_settings.h"
#include "translate/response_stream.h"
#include "translate/responses_call.h"

namespace sluice::translate {

Status ResponsesToChat::append_call(Buffer& out, std::string_view body) const noexcept {
  return append_chat_body(out, body);
}

void ResponsesToChat::append_settings(Buffer& out, std::string_view body) const { append_response_settings(out, body); }

std::unique_ptr<dialect::EventTranslator> ResponsesToChat::events(const dialect::AnswerFacts& facts) const {
  return std::make_unique<ResponseStream>(facts);
}

dialect::Converted ResponsesToChat::append_answer(Buffer& out, std::string_view answer,
                                                  const dialect::AnswerFacts& facts) const {
  return append_response_of(out, answer, facts);
}

}  // namespace sluice::translate
