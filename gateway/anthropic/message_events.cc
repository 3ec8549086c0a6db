#include "anthropic/message_events.h"

#include <algorithm>
#include <string>

#include "base/wiped_string.h"
#include "wire/json_text.h"
#include "wire/skim.h"
#include "wire/sse_events.h"

namespace sluice::anthropic {
namespace {

using dialect::Converted;

// "name":value, with a comma where something stands before it.
void append_member(Buffer& out, std::string_view name, std::string_view value) {
  if (!out.view().ends_with('{')) out.append(",");
  out.append("\"");
  out.append(name);
  out.append("\":");
  out.append(value);
}

// The member of a block that streams in pieces, and the delta that says it.
struct Streamed {
  std::string_view member, empty, delta_type, delta_member;
};
constexpr Streamed kStreamed[] = {{"text", "\"\"", "text_delta", "text"},
                                  {"thinking", "\"\"", "thinking_delta", "thinking"},
                                  {"signature", "\"\"", "signature_delta", "signature"},
                                  {"input", "{}", "input_json_delta", "partial_json"}};

const Streamed* streamed(std::string_view member) noexcept {
  const auto* const row = std::ranges::find(kStreamed, member, &Streamed::member);
  return row == std::end(kStreamed) ? nullptr : row;
}

class Events final {
 public:
  explicit Events(Buffer& out) : out_(out) {}

  Converted write(std::string_view answer) {
    wire::Skimmer skimmer(answer);
    if (skimmer.open('{') != wire::Skim::kMember) return Converted::kNot;
    std::string_view content, usage, reason, sequence, details;
    data_.append(R"({"type":"message_start","message":{)");
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      if (member.name == "content") content = member.value;
      if (member.name == "usage") usage = member.value;
      if (member.name == "stop_reason") reason = member.value;
      if (member.name == "stop_sequence") sequence = member.value;
      if (member.name == "stop_details") details = member.value;
      const bool later = member.name == "content" || member.name.starts_with("stop_");
      if (!later) append_member(data_, member.name, member.value);
    }
    append_member(data_, "content", "[]");
    append_member(data_, "stop_reason", "null");
    append_member(data_, "stop_sequence", "null");
    end_event("message_start", "}}");
    if (write_blocks(content) == Converted::kNot) return Converted::kNot;
    data_.append(R"({"type":"message_delta","delta":{)");
    append_member(data_, "stop_reason", reason.empty() ? "null" : reason);
    append_member(data_, "stop_sequence", sequence.empty() ? "null" : sequence);
    if (!details.empty()) append_member(data_, "stop_details", details);
    data_.append("}");
    if (!usage.empty()) append_member(data_, "usage", usage);
    end_event("message_delta", "}");
    data_.append(R"({"type":"message_stop")");
    end_event("message_stop", "}");
    return Converted::kDone;
  }

 private:
  Converted write_blocks(std::string_view content) {
    wire::Skimmer list(content);
    if (content.empty() || list.open('[') != wire::Skim::kMember) return Converted::kNot;
    std::string_view block;
    for (std::size_t index = 0; list.element(block) == wire::Skim::kMember; ++index) {
      wire::Skimmer skimmer(block);
      if (skimmer.open('{') != wire::Skim::kMember) return Converted::kNot;
      begin_block_event("content_block_start", index);
      data_.append(R"(,"content_block":{)");
      wire::SkimMember member;
      while (skimmer.member(member) == wire::Skim::kMember) {
        const Streamed* const row = streamed(member.name);
        append_member(data_, member.name, row == nullptr ? member.value : row->empty);
      }
      end_event("content_block_start", "}}");
      write_deltas(block, index);
      begin_block_event("content_block_stop", index);
      end_event("content_block_stop", "}");
    }
    return Converted::kDone;
  }

  void write_deltas(std::string_view block, std::size_t index) {
    wire::Skimmer skimmer(block);
    (void)skimmer.open('{');
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      const Streamed* const row = streamed(member.name);
      if (row == nullptr || member.value == row->empty) continue;
      begin_block_event("content_block_delta", index);
      data_.append(R"(,"delta":{"type":")");
      data_.append(row->delta_type);
      data_.append("\"");
      WipedString text;
      if (row->member == "input") wire::append_json_string(text, member.value);
      append_member(data_, row->delta_member, text.empty() ? member.value : std::string_view(text));
      end_event("content_block_delta", "}}");
    }
  }

  void begin_block_event(std::string_view type, std::size_t index) {
    data_.append(R"({"type":")");
    data_.append(type);
    data_.append(R"(","index":)");
    data_.append(std::to_string(index));
  }

  // In one line: line ends of an answer that was printed for people are white space.
  void end_event(std::string_view name, std::string_view end) {
    data_.append(end);
    std::replace_if(
        data_.data(), data_.data() + data_.size(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    wire::append_event(out_, name, data_.view());
    data_.clear();
  }

  Buffer& out_;
  Buffer data_;  // of the event that is being written
};

}  // namespace

Converted append_as_events(Buffer& out, std::string_view answer) { return Events(out).write(answer); }

}  // namespace sluice::anthropic
