#include "anthropic/stream_filter.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "anthropic/error_body.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::anthropic {

using dialect::StreamState;
using dialect::UsageDoubt;

// The members that a gateway must see, as they stand in the data.
struct StreamFilter::Parts {
  std::string_view type, index, message, block, delta, usage, error;
};

namespace {

constexpr std::size_t kKeptScratchBytes = 64 * 1024;
constexpr std::size_t kMostOpenBlocks = 1024;
constexpr std::string_view kStop = "message_stop";
constexpr std::string_view kStopEvent = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

std::string_view without_space(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

// Bytes of a string's value, with an escape counted as the one or two bytes that it mostly stands for.
std::uint64_t bytes_of(std::string_view value) noexcept {
  if (!wire::is_string(value)) return 0;
  const std::string_view inside = wire::unquoted(value);
  if (std::memchr(inside.data(), '\\', inside.size()) == nullptr) return inside.size();
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < inside.size(); ++i, ++bytes) {
    if (inside[i] != '\\') continue;
    ++i;
    if (i < inside.size() && inside[i] == 'u') i += 4;
  }
  return bytes;
}

void append_number(Buffer& out, std::uint64_t number) {
  char digits[20];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append({digits, static_cast<std::size_t>(written.ptr - digits)});
}

void larger_of(std::uint64_t& into, std::uint64_t other) noexcept { into = std::max(into, other); }

}  // namespace

StreamState StreamFilter::filter(Buffer& in, Buffer& out) noexcept {
  std::string_view rest = in.view();
  wire::RawEvent raw;
  unsigned taken = 0;
  has_more_ = false;
  while (state_ == StreamState::kOpen && !has_more_ &&
         splitter_.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
    has_more_ = ++taken == kEventsAtOnce;
    if (raw.text.size() > options_.event_limit_bytes) {
      state_ = StreamState::kBroken;
    } else {
      take(wire::read_event(raw, joined_), out);
    }
  }
  if (state_ == StreamState::kOpen && !has_more_) take_rest(rest, out);
  if (state_ != StreamState::kOpen) {
    rest = {};  // what stands behind the end is nobody's
    has_more_ = false;
  }
  for (Buffer* scratch : {&joined_, &repaired_}) {
    if (scratch->capacity() > kKeptScratchBytes) scratch->release();
  }
  in.consume(in.size() - rest.size());
  return state_;
}

void StreamFilter::take(const wire::SseEvent& event, Buffer& out) {
  if (event.stray_json) return take_error(event.data, out);
  const std::string_view data = without_space(event.data);
  if (data.empty() || data.starts_with("[DONE]")) return;  // some servers end with another dialect's end
  if (event.name == "error") return take_error(data, out);
  if (data.front() != '{') {
    state_ = StreamState::kBroken;
    return;
  }
  if (simdjson::validate_utf8(event.data.data(), event.data.size())) return take_data(event.name, event.data, out);
  // One bad byte would end a Python client with UnicodeDecodeError.
  repaired_.clear();
  for (std::string_view bytes = event.data; !bytes.empty();) {
    const std::size_t length = wire::utf8_length(bytes);
    repaired_.append(length == 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(0, length));
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  take_data(event.name, repaired_.view(), out);
}

void StreamFilter::take_data(std::string_view name, std::string_view data, Buffer& out) {
  Parts parts;
  wire::Skimmer skimmer(data);
  wire::SkimMember member;
  wire::Skim step = skimmer.open('{');
  while (step == wire::Skim::kMember && (step = skimmer.member(member)) == wire::Skim::kMember) {
    if (member.name == "type") parts.type = member.value;
    if (member.name == "index") parts.index = member.value;
    if (member.name == "delta") parts.delta = member.value;
    if (member.name == "message") parts.message = member.value;
    if (member.name == "content_block") parts.block = member.value;
    if (member.name == "usage") parts.usage = member.value;
    if (member.name == "error") parts.error = member.value;
  }
  const std::string_view behind = data.substr(static_cast<std::size_t>(skimmer.position() - data.data()));
  if (step != wire::Skim::kEnd || !without_space(behind).empty()) {
    state_ = StreamState::kBroken;
    return;
  }
  const std::string_view type = wire::is_string(parts.type) ? wire::unquoted(parts.type) : name;
  const bool says_error = !parts.error.empty() && (parts.error.front() == '{' || bytes_of(parts.error) != 0);
  if (type == "error" || says_error) return take_error(data, out);
  take_part(type, parts);
  const std::string_view called = is_plain_name(name) ? name : is_plain_name(type) ? type : std::string_view();
  wire::append_event(out, called, data);
}

void StreamFilter::take_part(std::string_view type, const Parts& parts) {
  if (type == "ping") return;
  ++events_;
  if (type == "content_block_delta") {
    note_text(parts.delta);
  } else if (type == "content_block_start") {
    note_block(parts.index, true);
    note_text(parts.block);
  } else if (type == "content_block_stop") {
    note_block(parts.index, false);
  } else if (type == "message_start") {
    note_message(parts.message);
  } else if (type == "message_delta") {
    final_ = note_usage(parts.usage) || final_;
    reason_told_ = wire::is_string(wire::skim_find(parts.delta, "stop_reason")) || reason_told_;
  } else if (type == kStop) {
    state_ = StreamState::kDone;
  }
}

void StreamFilter::take_error(std::string_view data, Buffer& out) {
  dialect::ErrorAnswer answer = error_in_event(data);
  dialect::hide_secret(answer, options_.secret);
  out.append(error_event(answer));
  ++events_;
  state_ = StreamState::kError;
}

// What is left over may be an end that lacks its blank line, which finish() then knows, or an error in no form of an event
// at all.
void StreamFilter::take_rest(std::string_view rest, Buffer& out) {
  constexpr std::size_t kLongestBytes = 64 * 1024;
  constexpr std::size_t kLongestStopBytes = 256;
  unfinished_.clear();
  if (!rest.starts_with('{') && rest.size() <= kLongestStopBytes && rest.find(kStop) != std::string_view::npos) {
    unfinished_.append(rest);
  } else if (rest.starts_with('{')) {
    const std::size_t end = rest.substr(0, kLongestBytes).find('\n');
    if (end != std::string_view::npos) return take_error(rest.substr(0, end), out);
    if (rest.size() > kLongestBytes) state_ = StreamState::kBroken;
  }
  if (state_ == StreamState::kOpen && rest.size() > options_.event_limit_bytes) state_ = StreamState::kBroken;
}

void StreamFilter::note_message(std::string_view message) {
  constexpr std::size_t kModelBytes = 256;
  started_ = true;
  const std::string_view model = wire::skim_find(message, "model");
  if (wire::is_string(model) && model.size() <= kModelBytes) {
    std::array<char, kModelBytes> decoded;
    model_.assign(wire::unescape(wire::unquoted(model), decoded));
  }
  (void)note_usage(wire::skim_find(message, "usage"));
}

void StreamFilter::note_block(std::string_view index, bool open) {
  const std::uint64_t number = wire::skim_count(index);
  const auto known = std::ranges::find(open_blocks_, number);
  if (open && known == open_blocks_.end() && open_blocks_.size() < kMostOpenBlocks) open_blocks_.push_back(number);
  if (!open && known != open_blocks_.end()) open_blocks_.erase(known);
}

// Of a delta, or of a block that begins with what it has.
void StreamFilter::note_text(std::string_view delta) noexcept {
  std::uint64_t bytes = 0;
  wire::Skimmer skimmer(delta);
  wire::SkimMember member;
  if (delta.empty() || skimmer.open('{') != wire::Skim::kMember) return;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "text" || member.name == "partial_json" || member.name == "thinking")
      bytes += bytes_of(member.value);
  }
  if (bytes == 0) return;
  ++text_deltas_;
  text_bytes_ += bytes;
}

// Cumulative: what is said later is more of the same, and a later one may say less of it, so the larger counts.
bool StreamFilter::note_usage(std::string_view usage) {
  std::optional<dialect::UsageReading> said = dialect::read_usage(usage);
  if (!said) return false;
  if (told_) {
    const Usage& before = told_->usage;
    Usage& now = said->usage;
    larger_of(now.prompt_tokens, before.prompt_tokens);
    larger_of(now.cached_tokens, before.cached_tokens);
    larger_of(now.cache_write_tokens, before.cache_write_tokens);
    larger_of(now.cache_write_1h_tokens, before.cache_write_1h_tokens);
    larger_of(now.completion_tokens, before.completion_tokens);
    larger_of(now.reasoning_tokens, before.reasoning_tokens);
    larger_of(now.searches, before.searches);
  }
  // Whoever once told what cannot be is not believed in this answer any more.
  const bool believed = options_.claim_limit.allows(said->usage) && (!told_ || told_->doubt != UsageDoubt::kClaim);
  if (!believed) said->doubt = UsageDoubt::kClaim;
  told_ = said;
  return true;
}

StreamState StreamFilter::finish(Buffer& out) noexcept {
  if (state_ == StreamState::kOpen && !unfinished_.empty()) {
    unfinished_.append("\n\n");
    std::string_view rest = unfinished_.view();
    wire::EventSplitter splitter;
    wire::RawEvent raw;
    if (splitter.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
      const wire::SseEvent event = wire::read_event(raw, joined_);
      const std::string_view type = wire::skim_find(event.data, "type");
      if (event.name == kStop || (wire::is_string(type) && wire::unquoted(type) == kStop)) take(event, out);
    }
  }
  if (state_ == StreamState::kOpen) state_ = StreamState::kBroken;
  return state_;
}

void StreamFilter::cut(Buffer& out) noexcept {
  if (state_ != StreamState::kOpen) return;
  state_ = StreamState::kDone;
  if (reason_told_) return out.append(kStopEvent);
  if (!started_) append_start(out);
  for (const std::uint64_t index : open_blocks_) {
    out.append("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    append_number(out, index);
    out.append("}\n\n");
  }
  out.append(
      "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\","
      "\"stop_sequence\":null},\"usage\":{\"output_tokens\":");
  append_number(out, usage(options_.prompt_estimate).completion_tokens);
  out.append("}}\n\n");
  out.append(kStopEvent);
}

// Of a message that was cut before it began.
void StreamFilter::append_start(Buffer& out) const {
  out.append(
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_cut\",\"type\":\"message\","
      "\"role\":\"assistant\",\"model\":\"\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
      "\"input_tokens\":");
  append_number(out, options_.prompt_estimate);
  out.append(",\"output_tokens\":0}}}\n\n");
}

std::uint64_t StreamFilter::completion_tokens() const noexcept {
  constexpr std::uint64_t kBytesPerToken = 4;
  return std::max(text_deltas_, text_bytes_ / kBytesPerToken);
}

Usage StreamFilter::usage(std::uint64_t prompt_estimate) const noexcept {
  const std::uint64_t counted = std::min(completion_tokens(), options_.claim_limit.completion);
  if (!told_ || told_->doubt == UsageDoubt::kClaim) {
    if (events_ == 0) return {};
    return {.source = UsageSource::kEstimated, .prompt_tokens = prompt_estimate, .completion_tokens = counted};
  }
  Usage usage = told_->usage;
  if (final_ && usage.prompt_tokens != 0) return usage;
  usage.source = UsageSource::kEstimated;
  if (usage.prompt_tokens == 0) usage.prompt_tokens = prompt_estimate;
  if (!final_) larger_of(usage.completion_tokens, counted);
  return usage;
}

}  // namespace sluice::anthropic
