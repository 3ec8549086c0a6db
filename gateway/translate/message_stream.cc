#include "translate/message_stream.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "anthropic/error_body.h"
#include "translate/chat_call.h"
#include "translate/message_parts.h"

namespace sluice::translate {
namespace {

constexpr std::string_view kDataField = "data: ";
constexpr std::string_view kDeltaEnd = "\"}}\n\n";

void append_event(Buffer& out, std::string_view name, std::string_view data) { wire::append_event(out, name, data); }

// The data of the event that `rest` begins with, where it is a line and an empty one; empty: it is something else.
std::string_view one_line_of(std::string_view rest) noexcept {
  if (!rest.starts_with(kDataField)) return {};
  const void* const end = std::memchr(rest.data(), '\n', rest.size());
  if (end == nullptr) return {};
  const auto length = static_cast<std::size_t>(static_cast<const char*>(end) - rest.data());
  if (length + 1 >= rest.size() || rest[length + 1] != '\n') return {};
  return rest.substr(kDataField.size(), length - kDataField.size());
}

}  // namespace

void MessageStream::translate(std::string_view events, Buffer& out) noexcept {
  while (!events.empty() && !failed_) {
    if (const std::string_view data = one_line_of(events); !data.empty()) {
      take(data, out);
      events.remove_prefix(kDataField.size() + data.size() + 2);
      continue;
    }
    wire::RawEvent raw;
    if (splitter_.next(events, raw) == wire::EventSplitter::Found::kMore) return;
    take(wire::read_event(raw, joined_).data, out);
  }
}

void MessageStream::take(std::string_view data, Buffer& out) {
  if (repeated_ && take_repeated(data, out)) return;
  if (!is_object(data)) return;  // [DONE]
  std::string_view choices, usage;
  wire::Skimmer skimmer(data);
  wire::SkimMember member;
  (void)skimmer.open('{');
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "choices") choices = member.value;
    if (member.name == "usage") usage = member.value;
    if (member.name == "error" && member.value != "null") return take_error(data, out);
  }
  begin_message(out);
  if (is_object(usage)) {
    if (const std::optional<dialect::UsageReading> told = dialect::read_usage(usage)) usage_ = told->usage;
  }
  const ChatChoice choice = read_first_choice(choices);
  const std::size_t begin = out.size();
  const std::uint64_t said_before = said_events_;
  const std::size_t held_before = held_bytes();
  said_at_ = 0;
  take_delta(read_delta(choice.said), out);
  if (!choice.finish_reason.empty()) finish_reason_.assign(choice.finish_reason.substr(0, kMostReasonBytes));
  if (!choice.stop.empty() && choice.stop.size() <= kMostStopBytes) stop_.assign(choice.stop);
  // One text alone, in a block that was open, and nothing that waits: the next event will mostly differ in nothing else.
  const std::string_view event = out.view().substr(begin);
  const bool plain = said_events_ == said_before + 1 && said_at_ == begin + delta_front_.size() &&
                     said_at_ + last_said_.size() + kDeltaEnd.size() == out.size() && !is_whole_call() &&
                     held_bytes() == held_before;
  if (!plain || !choice.finish_reason.empty() || !usage.empty() || data.find('\n') != std::string_view::npos) return;
  const std::string_view inside = last_said_;
  if (inside.data() < data.data() || inside.data() >= data.data() + data.size()) return;
  if (!repeated_) repeated_.emplace();
  repeated_->learn(data, inside, event, delta_front_.size());
}

// False: it differs in more than its text.
bool MessageStream::take_repeated(std::string_view data, Buffer& out) {
  const std::size_t begin = out.size();
  const std::optional<std::uint64_t> bytes = repeated_->pass(data, out);
  if (!bytes) return false;
  ++said_events_;
  said_bytes_ += *bytes;
  if (open_ != Kind::kCall) return true;
  std::string_view inside = out.view().substr(begin + delta_front_.size());
  inside.remove_suffix(kDeltaEnd.size());
  calls_[call_].arguments.take(inside);
  if (is_whole_call()) {
    repeated_.reset();
    say_held(out);
  }
  return true;
}

void MessageStream::take_error(std::string_view data, Buffer& out) {
  Buffer padded;
  (void)padded.prepare(data.size() + simdjson::SIMDJSON_PADDING);
  padded.append(data);
  out.append(anthropic::error_event(anthropic::error_in_event(padded.view())));
  failed_ = true;
}

void MessageStream::take_delta(const ChatDelta& delta, Buffer& out) {
  // Some servers say it by both names.
  const bool longer = !inside_of(delta.reasoning_content).empty();
  const std::string_view thinking = inside_of(longer ? delta.reasoning_content : delta.reasoning);
  if (!thinking.empty() && thinking_member_.empty()) thinking_member_ = longer ? "reasoning_content" : "reasoning";
  take_piece(Kind::kThinking, 0, thinking, out);
  each_string(delta.content, [&](bool thinks, std::string_view inside) {
    take_piece(thinks ? Kind::kThinking : Kind::kText, 0, inside, out);
  });
  const std::string_view refusal = inside_of(delta.refusal);
  refused_ = refused_ || !refusal.empty();
  take_piece(Kind::kText, 0, refusal, out);
  each_call(delta, [&](const ChatToolCall& said) { take_call(said, out); });
}

// The call that is meant, made if it is new. Some servers number all calls 0, or none, and tell them by their ids.
std::size_t MessageStream::find_call(const ChatToolCall& said) {
  for (std::size_t i = calls_.size(); i-- > 0;) {
    const Call& call = calls_[i];
    const bool other_id = !said.id.empty() && !call.id.empty() && said.id != call.id;
    if (said.index == ChatToolCall::kNoIndex) {
      if (said.id.empty() || said.id == call.id) return i;
    } else if (said.index == call.index) {
      return other_id && !said.name.empty() ? calls_.size() : i;
    }
  }
  return calls_.size();
}

void MessageStream::take_call(const ChatToolCall& said, Buffer& out) {
  const std::size_t at = find_call(said);
  if (at == calls_.size()) {
    if (at == kMostCalls) return;
    calls_.emplace_back().index = said.index;
    held_bytes_ += sizeof(Call);
  }
  Call& call = calls_[at];
  if (call.id.empty()) {
    call.id.assign(said.id);
    held_bytes_ += said.id.size();
  }
  if (call.name.empty() && !said.name.empty()) {
    call.name.assign(said.name);
    held_bytes_ += said.name.size();
    hold(Kind::kCall, at, {});  // its beginning
  }
  if (is_object(said.arguments)) {
    WipedString text;
    wire::append_escaped(text, said.arguments);
    take_piece(Kind::kCall, at, text, out);
  } else {
    take_piece(Kind::kCall, at, inside_of(said.arguments), out);
  }
  say_held(out);
}

void MessageStream::take_piece(Kind kind, std::size_t call, std::string_view inside, Buffer& out) {
  if (inside.empty()) return;
  const bool of_open_call = kind == Kind::kCall && open_ == Kind::kCall && call == call_;
  if (of_open_call || (held_.empty() && !is_held_up() && kind != Kind::kCall)) {
    say(kind, call, inside, out);
  } else {
    hold(kind, call, inside);
  }
}

void MessageStream::hold(Kind kind, std::size_t call, std::string_view inside) {
  repeated_.reset();  // text waits behind it
  held_bytes_ += inside.size();
  const bool of_call = kind == Kind::kCall;
  if (of_call) calls_[call].waiting.append(inside);
  if (of_call && std::exchange(calls_[call].waits, true)) return;
  if (!of_call && !held_.empty() && held_.back().kind == kind) {
    held_.back().text.append(inside);
    return;
  }
  held_bytes_ += sizeof(Piece);
  Piece& piece = held_.emplace_back();
  piece.kind = kind;
  piece.call = call;
  if (!of_call) piece.text.assign(inside);
}

// What may be said now of what was held, in its order; of a call nothing before its name is known.
void MessageStream::say_held(Buffer& out) {
  for (auto at = held_.begin(); at != held_.end();) {
    if (is_held_up()) return;
    const bool nameless = at->kind == Kind::kCall && calls_[at->call].name.empty();
    if (nameless) {
      ++at;
      continue;
    }
    Piece piece = std::move(*at);
    if (piece.kind == Kind::kCall) {
      piece.text.swap(calls_[piece.call].waiting);
      calls_[piece.call].waits = false;
    }
    held_bytes_ -= piece.text.size() + sizeof(Piece);
    held_.erase(at);
    say(piece.kind, piece.call, piece.text, out);
    at = held_.begin();
  }
}

void MessageStream::say(Kind kind, std::size_t call, std::string_view inside, Buffer& out) {
  if (kind != Kind::kCall) return say_white_or(kind, inside, out);
  Call& it = calls_[call];
  if (open_ != Kind::kCall || call_ != call) {
    if (it.begun) return;  // a whole call is said again, or something behind it
    open(Kind::kCall, call, out);
  }
  if (inside.empty() || it.arguments.whole()) return;
  it.arguments.take(inside);
  append_delta(inside, out);
}

// White space alone makes no block: it waits for what comes behind it.
void MessageStream::say_white_or(Kind kind, std::string_view inside, Buffer& out) {
  if (open_ == kind) return append_delta(inside, out);
  if (is_white(inside)) {
    white_.append(inside);
    return;
  }
  open(kind, 0, out);
  if (!white_.empty()) append_delta(white_, out);
  white_.clear();
  append_delta(inside, out);
}

void MessageStream::begin_message(Buffer& out) {
  if (std::exchange(begun_, true)) return;
  Buffer data;
  data.append(R"({"type":"message_start","message":)");
  append_message_head(data, facts_);
  data.append(R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)");
  append_usage(data, {.prompt_tokens = facts_.prompt_estimate});
  data.append("}}");
  append_event(out, "message_start", data.view());
}

void MessageStream::open(Kind kind, std::size_t call, Buffer& out) {
  close(out);
  open_ = kind;
  call_ = call;
  Buffer data;
  data.append(R"({"type":"content_block_start","index":)");
  append_number(data, blocks_);
  if (kind == Kind::kText) {
    data.append(R"(,"content_block":{"type":"text","text":""}})");
  } else if (kind == Kind::kThinking) {
    data.append(R"(,"content_block":{"type":"thinking","thinking":"","signature":""}})");
  } else {
    Call& it = calls_[call];
    it.begun = true;
    data.append(R"(,"content_block":{"type":"tool_use","id":)");
    if (it.id.empty()) {
      append_call_id(data, facts_, blocks_);
    } else {
      data.append("\"");
      data.append(it.id);
      data.append("\"");
    }
    data.append(R"(,"name":")");
    data.append(it.name);
    data.append(R"(","input":{}}})");
  }
  append_event(out, "content_block_start", data.view());
  constexpr std::string_view kDeltas[] = {{},
                                          R"(,"delta":{"type":"text_delta","text":")",
                                          R"(,"delta":{"type":"thinking_delta","thinking":")",
                                          R"(,"delta":{"type":"input_json_delta","partial_json":")"};
  delta_front_ = R"(event: content_block_delta
data: {"type":"content_block_delta","index":)";
  delta_front_ += std::to_string(blocks_);
  delta_front_ += kDeltas[static_cast<std::size_t>(kind)];
}

void MessageStream::append_delta(std::string_view inside, Buffer& out) {
  out.append(delta_front_);
  said_at_ = out.size();
  last_said_ = inside;
  out.append(inside);
  out.append(kDeltaEnd);
  ++said_events_;
  said_bytes_ += inside.size();
}

void MessageStream::close(Buffer& out) {
  repeated_.reset();
  if (open_ == Kind::kNone) return;
  Buffer data;
  if (open_ == Kind::kThinking && !thinking_member_.empty()) {
    data.append(R"({"type":"content_block_delta","index":)");
    append_number(data, blocks_);
    data.append(R"(,"delta":{"type":"signature_delta","signature":")");
    data.append(kSignatureMark);
    data.append(thinking_member_);
    data.append("\"}}");
    append_event(out, "content_block_delta", data.view());
    data.clear();
  }
  data.append(R"({"type":"content_block_stop","index":)");
  append_number(data, blocks_++);
  data.append("}");
  append_event(out, "content_block_stop", data.view());
  open_ = Kind::kNone;
}

void MessageStream::finish(Buffer& out) noexcept {
  if (failed_) return;
  begin_message(out);
  // Calls that never became whole are said as far as they came.
  for (Call& call : calls_) {
    if (!call.begun && call.name.empty()) call.name.assign("unnamed");
  }
  for (; !held_.empty(); say_held(out)) close(out);
  close(out);
  white_.clear();
  const std::string_view reason =
      refused_ ? "refusal"
               : stop_reason_of(finish_reason_, stop_, calls_.empty() ? ToolsCalled::kNo : ToolsCalled::kYes);
  Buffer data;
  data.append(R"({"type":"message_delta","delta":{"stop_reason":")");
  data.append(reason);
  data.append(R"(","stop_sequence":)");
  data.append(reason == "stop_sequence" ? std::string_view(stop_) : "null");
  data.append(R"(},"usage":)");
  const Usage counted{.prompt_tokens = facts_.prompt_estimate,
                      .completion_tokens = std::max(said_events_, said_bytes_ / 4)};
  append_usage(data, usage_.value_or(counted));
  data.append("}");
  append_event(out, "message_delta", data.view());
  append_event(out, "message_stop", R"({"type":"message_stop"})");
  calls_.clear();
  held_bytes_ = 0;
}

}  // namespace sluice::translate
