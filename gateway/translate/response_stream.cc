// ResponseStream: what a chat's chunks say, as events. Those that begin and end items are in response_events.cc.
#include "translate/response_stream.h"

#include <algorithm>

#include "dialect/upstream_error.h"
#include "dialect/usage_reader.h"
#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "wire/skim.h"

namespace sluice::translate {
namespace {

constexpr std::string_view kDataMark = "data: ";
constexpr std::string_view kEndOfEvent = "\n\n";

}  // namespace

void ResponseStream::translate(std::string_view events, Buffer& out) noexcept {
  wire::RawEvent raw;
  while (!events.empty() && !ended_) {
    if (take_repeated(events, out)) continue;
    if (splitter_.next(events, raw) != wire::EventSplitter::Found::kEvent) break;
    const std::string_view data = wire::read_event(raw, joined_).data;
    if (!data.starts_with('{')) continue;  // [DONE]
    if (data.find('\n') == std::string_view::npos) {
      take(data, out);
      continue;
    }
    Buffer line;
    line.append(data);
    std::replace(line.data(), line.data() + line.size(), '\n', ' ');
    take(line.view(), out);
  }
}

void ResponseStream::take(std::string_view data, Buffer& out) {
  std::string_view choices, usage, error, created;
  wire::Skimmer skimmer(data);
  if (skimmer.open('{') != wire::Skim::kMember) return;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "choices") choices = member.value;
    if (member.name == "usage") usage = member.value;
    if (member.name == "error") error = member.value;
    if (member.name == "created") created = member.value;
  }
  if (!begun_) begin(created, out);
  if (is_said(error)) return end_failed(data, out);
  const bool used = is_object(usage);
  if (used) {
    if (const auto told = dialect::read_usage(usage)) usage_ = told->usage;
  }
  const ChatChoice choice = read_first_choice(choices);
  piece_ = {};
  const std::uint64_t sequence = sequence_;
  const std::size_t held = held_bytes_;
  const std::size_t begin_at = out.size();
  if (!choice.said.empty()) take_said(choice, out);
  if (!choice.finish_reason.empty()) finish_reason_ = choice.finish_reason.substr(0, kMostReasonBytes);
  // What makes no event of its own (white space that waits, the input of a custom tool) is kept all the same.
  const bool alone =
      piece_.position != kNone && sequence_ == sequence + 1 && held_bytes_ == held + piece_.inside.size();
  if (alone && !used && choice.finish_reason.empty() && !is_said(choice.logprobs))
    learn(data, out.view().substr(begin_at));
}

void ResponseStream::take_said(const ChatChoice& choice, Buffer& out) {
  const ChatDelta delta = read_delta(choice.said);
  const std::string_view longer = inside_of(delta.reasoning_content);
  take_reasoning(longer.empty() ? inside_of(delta.reasoning) : longer,
                 longer.empty() ? "reasoning" : "reasoning_content", out);
  const std::string_view logprobs =
      is_object(choice.logprobs) ? wire::skim_find(choice.logprobs, "content") : std::string_view();
  each_string(delta.content, [&](bool thinking, std::string_view inside) {
    if (thinking) return take_reasoning(inside, {}, out);
    take_text(inside, is_array(logprobs) ? logprobs.substr(1, logprobs.size() - 2) : std::string_view(), out);
  });
  take_refusal(inside_of(delta.refusal), out);
  each_call(delta, [&](const ChatToolCall& call) { take_call(call, out); });
}

// Each item is told in several events and again at the end, so that thousands of them, of a byte each, would be gigabytes.
// No model goes from thought to text and back so often.
bool ResponseStream::may_say(ItemKind kind) const noexcept {
  return items_.size() < kMostItems || (said_ != kNone && items_[said_].kind == kind);
}

void ResponseStream::take_reasoning(std::string_view inside, std::string_view member, Buffer& out) {
  if (inside.empty() || !may_say(ItemKind::kReasoning)) return;
  append_piece(open_said(ItemKind::kReasoning, member, out), inside, {}, out);
}

// White space before anything else is a template's, and makes no message.
void ResponseStream::take_text(std::string_view inside, std::string_view logprobs, Buffer& out) {
  if (inside.empty() || !may_say(ItemKind::kMessage)) return;
  const bool open = said_ != kNone && items_[said_].kind == ItemKind::kMessage;
  if (!open && is_white(inside)) {
    white_.append(inside);
    held_bytes_ += inside.size();
    return;
  }
  if (refusing_) close_said(ItemStatus::kCompleted, out);
  const std::size_t position = open_said(ItemKind::kMessage, {}, out);
  if (!items_[position].has_text) {
    items_[position].has_text = true;
    open_part(position, out);
  }
  if (!white_.empty()) append_piece(position, white_, {}, out);
  white_.clear();
  append_piece(position, inside, logprobs, out);
}

void ResponseStream::take_refusal(std::string_view inside, Buffer& out) {
  if (inside.empty() || !may_say(ItemKind::kMessage)) return;
  const std::size_t position = open_said(ItemKind::kMessage, {}, out);
  if (!refusing_) {
    if (items_[position].has_text) close_part(position, out);
    refusing_ = items_[position].has_refusal = true;
    open_part(position, out);
  }
  append_piece(position, inside, {}, out);
}

void ResponseStream::take_call(const ChatToolCall& call, Buffer& out) {
  std::size_t position = find_call(call);
  if (position == kNone) {
    if (call.name.empty() || calls_.size() == kMostCalls) return;  // the rest of nothing
    close_said(ItemStatus::kCompleted, out);
    white_.clear();
    position = open(begin_call(call), out);
    calls_.push_back({.index = call.index, .position = position});
  }
  if (call.arguments.empty() || call.arguments == "\"\"") return;
  if (wire::is_string(call.arguments)) return append_piece(position, wire::unquoted(call.arguments), {}, out);
  WipedString text;
  append_arguments(text, call.arguments);
  append_piece(position, text, {}, out);
  piece_ = {};
}

// By its index, else by its id, else the last. Some servers give every call the index 0, and each its own id.
std::size_t ResponseStream::find_call(const ChatToolCall& call) const noexcept {
  for (std::size_t at = calls_.size(); at-- != 0;) {
    const auto [index, position] = calls_[at];
    const WipedString& id = items_[position].call_id;
    const bool other_id = !call.id.empty() && !id.empty() && id != call.id;
    const bool indexed = call.index != ChatToolCall::kNoIndex;
    if (indexed ? index == call.index && !(other_id && !call.name.empty()) : !other_id) return position;
  }
  return kNone;
}

bool ResponseStream::take_repeated(std::string_view& events, Buffer& out) {
  if (repeated_.position == kNone || !events.starts_with(kDataMark)) return false;
  std::string_view rest = events.substr(kDataMark.size());
  if (!rest.starts_with(repeated_.front.view())) return false;
  rest.remove_prefix(repeated_.front.size());
  const char* const behind = wire::skim_string(rest.data(), rest.data() + rest.size());
  if (behind == nullptr) return false;
  const std::string_view inside(rest.data(), static_cast<std::size_t>(behind - rest.data()) - 1);
  rest.remove_prefix(inside.size());
  if (!rest.starts_with(repeated_.back.view())) return false;
  rest.remove_prefix(repeated_.back.size());
  if (!rest.starts_with(kEndOfEvent)) return false;
  events = rest.substr(kEndOfEvent.size());
  if (inside.empty()) return true;
  OutputItem& item = items_[repeated_.position];
  (refusing_ ? item.refusal : item.text).append(inside);
  held_bytes_ += inside.size();
  out.append(repeated_.out_front.view());
  append_number(out, sequence_++);
  out.append(repeated_.out_middle.view());
  out.append(inside);
  out.append("\"}\n\n");
  return true;
}

// `data`: what came; `event`: what it left as, and nothing else.
void ResponseStream::learn(std::string_view data, std::string_view event) {
  constexpr std::size_t kLongestFrameBytes = 2048;  // what is longer is no frame worth keeping for each stream
  repeated_.position = kNone;
  if (data.size() - piece_.inside.size() > kLongestFrameBytes) return;
  const auto front = static_cast<std::size_t>(piece_.inside.data() - data.data());
  for (Buffer* const kept : {&repeated_.front, &repeated_.back, &repeated_.out_front, &repeated_.out_middle})
    kept->clear();
  repeated_.front.append(data.substr(0, front));
  repeated_.back.append(data.substr(front + piece_.inside.size()));
  repeated_.out_front.append(event.substr(0, piece_.number_at));
  repeated_.out_middle.append(event.substr(piece_.behind_number, piece_.text_at - piece_.behind_number));
  repeated_.position = piece_.position;
}

}  // namespace sluice::translate
