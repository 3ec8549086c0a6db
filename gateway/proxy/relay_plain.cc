// An answer that need not be JSON, because the call asked for sound, for a text or for a file. It goes on as it comes, under its own
// label; an error in its place is an error all the same.
#include <algorithm>

#include "base/text.h"
#include "dialect/plain_answer.h"
#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {
namespace {

// The label that it came under, if that is one of such an answer: no browser is to take it for a page.
std::string_view label_of(std::string_view said, dialect::AnswerForm form) noexcept {
  for (const std::string_view known : {"audio/", "video/", "text/plain", "text/vtt", "text/event-stream",
                                       "application/octet-stream", "application/ogg", "application/x-subrip"}) {
    if (said.size() >= known.size() && same_ignoring_case(said.substr(0, known.size()), known)) return said;
  }
  return form == dialect::AnswerForm::kText ? "text/plain; charset=utf-8" : "application/octet-stream";
}

}  // namespace

Task<Status> Exchange::relay_plain(dialect::AnswerKind kind) {
  const std::size_t limit = conf_->settings.answer_bytes;
  if (upstream_->head()->content_length.value_or(0) > limit) co_return kTooLong;
  const bool any = asked_.answer == dialect::AnswerForm::kAny;
  if (kind == dialect::AnswerKind::kObject && !any) {
    SLUICE_CO_TRY(co_await gather(std::min(conf_->settings.whole_answer_bytes, limit)));
    walk_arrived();
    if (upstream_->state() == http::CallState::kEnded && walk_->form() == dialect::WholeAnswer::Form::kWhole)
      co_return co_await relay_object_for_plain();
  } else {
    upstream_->taken(upstream_->body().size());
  }
  if (!any && dialect::is_page(upstream_->body().view())) co_return co_await answer_nothing(kNoAnswer);
  walk_ = std::make_unique<dialect::PlainAnswer>(asked_.answer);
  walked_bytes_ = 0;
  walk_arrived();
  if (kind == dialect::AnswerKind::kUndecided && !walk_->is_answer()) co_return co_await answer_nothing(kNoAnswer);
  if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();  // while it can be told
  note_first_byte();
  ReplyHeaders headers;
  headers.add("content-type", label_of(upstream_->head()->content_type, asked_.answer));
  add_answer_headers(headers);
  co_return co_await pass_through(headers);
}

// A server that does not know the form that was asked for may send its text as JSON. Of sound there is no such form.
Task<Status> Exchange::relay_object_for_plain() {
  if (walk_->says_error()) co_return co_await answer_said_error();
  if (asked_.answer == dialect::AnswerForm::kText) co_return co_await relay_whole();
  co_return co_await answer_nothing(kNoAnswer);
}

}  // namespace sluice::proxy
