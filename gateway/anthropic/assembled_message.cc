#include "anthropic/assembled_message.h"

#include <algorithm>
#include <array>

#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::anthropic {
namespace {

constexpr std::size_t kMostBlocks = 1 << 16;

// A delta's type, its own member, and the member of the block that it adds to.
struct DeltaRow {
  std::string_view type, says, member;
};
constexpr DeltaRow kDeltas[] = {{"\"text_delta\"", "text", "text"},
                                {"\"thinking_delta\"", "thinking", "thinking"},
                                {"\"signature_delta\"", "signature", "signature"},
                                {"\"input_json_delta\"", "partial_json", "input"}};

void append_name(Buffer& out, std::string_view name) {
  if (!out.view().ends_with('{')) out.append(",");
  out.append("\"");
  out.append(name);
  out.append("\":");
}

// The members of `object`, but for those that `others` says too.
void append_members(Buffer& out, std::string_view object, std::string_view others) {
  wire::Skimmer skimmer(object);
  wire::SkimMember member;
  if (object.empty() || skimmer.open('{') != wire::Skim::kMember) return;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (!others.empty() && !wire::skim_find(others, member.name).empty()) continue;
    append_name(out, member.name);
    out.append(member.value);
  }
}

}  // namespace

void AssembledMessage::take(Buffer& events) {
  std::string_view rest = events.view();
  wire::RawEvent raw;
  while (splitter_.next(rest, raw) == wire::EventSplitter::Found::kEvent)
    take_data(wire::read_event(raw, joined_).data);
  events.consume(events.size() - rest.size());
}

void AssembledMessage::take_data(std::string_view data) {
  if (data.empty()) return;
  const std::string_view type = wire::skim_find(data, "type");
  const std::uint64_t index = wire::skim_count(wire::skim_find(data, "index"));
  if (type == "\"message_start\"") {
    message_.assign(wire::skim_find(data, "message"));
    size_bytes_ += message_.size();
  } else if (type == "\"content_block_start\"") {
    if (blocks_.size() == kMostBlocks) {
      odd_ = true;
      return;
    }
    Block& block = blocks_.emplace_back();
    block.index = index;
    block.begin.assign(wire::skim_find(data, "content_block"));
    size_bytes_ += block.begin.size() + 64;
  } else if (type == "\"content_block_delta\"") {
    take_delta(index, wire::skim_find(data, "delta"));
  } else if (type == "\"message_delta\"") {
    const std::string_view delta = wire::skim_find(data, "delta");
    stop_reason_.assign(wire::skim_find(delta, "stop_reason"));
    stop_sequence_.assign(wire::skim_find(delta, "stop_sequence"));
    usage_.assign(wire::skim_find(data, "usage"));
  } else if (type == "\"error\"") {
    error_.assign(data);
  }
}

void AssembledMessage::take_delta(std::uint64_t index, std::string_view delta) {
  const std::string_view type = wire::skim_find(delta, "type");
  const auto* const row = std::ranges::find(kDeltas, type, &DeltaRow::type);
  const auto block = std::ranges::find(blocks_, index, &Block::index);
  const std::string_view said = row == std::end(kDeltas) ? std::string_view() : wire::skim_find(delta, row->says);
  if (row == std::end(kDeltas) || block == blocks_.end() || !wire::is_string(said)) {
    odd_ = true;
    return;
  }
  auto part = std::ranges::find(block->parts, row->member, &Part::member);
  if (part == block->parts.end()) part = block->parts.insert(part, Part{.member = row->member, .text = {}});
  part->text.append(wire::unquoted(said));
  size_bytes_ += said.size() - 2;
}

dialect::Converted AssembledMessage::append_to(Buffer& out) const {
  if (odd_ || message_.empty() || message_.front() != '{') return dialect::Converted::kNot;
  out.append("{");
  append_members(out, message_, R"({"content":0,"stop_reason":0,"stop_sequence":0,"usage":0})");
  append_name(out, "content");
  out.append("[");
  for (const Block& block : blocks_) {
    if (&block != &blocks_.front()) out.append(",");
    if (append_block(out, block) == dialect::Converted::kNot) return dialect::Converted::kNot;
  }
  out.append("]");
  append_name(out, "stop_reason");
  out.append(stop_reason_.empty() ? std::string_view("null") : std::string_view(stop_reason_));
  append_name(out, "stop_sequence");
  out.append(stop_sequence_.empty() ? std::string_view("null") : std::string_view(stop_sequence_));
  append_usage(out);
  out.append("}");
  return dialect::Converted::kDone;
}

dialect::Converted AssembledMessage::append_block(Buffer& out, const Block& block) const {
  WipedString grown = "{";
  for (const Part& part : block.parts) {
    if (grown.size() > 1) grown += ',';
    grown.append("\"").append(part.member).append("\":0");
  }
  grown += '}';
  out.append("{");
  append_members(out, block.begin, grown);
  for (const Part& part : block.parts) {
    append_name(out, part.member);
    if (part.member == "input") {
      // JSON in a string: what the string says is the value.
      Buffer decoded;
      const std::span<char> room = decoded.prepare(part.text.size());
      const std::string_view value = wire::unescape(part.text, room);
      decoded.commit(value.size());
      const char* const end = value.data() + value.size();
      if (!value.empty() && wire::skim_container(value.data(), end) != end) return dialect::Converted::kNot;
      out.append(value.empty() ? std::string_view("{}") : value);
    } else {
      out.append("\"");
      out.append(part.text);
      out.append("\"");
    }
  }
  out.append("}");
  return dialect::Converted::kDone;
}

// What message_start said, and message_delta said later.
void AssembledMessage::append_usage(Buffer& out) const {
  const std::string_view first = wire::skim_find(message_, "usage");
  if (first.empty() && usage_.empty()) return;
  append_name(out, "usage");
  out.append("{");
  append_members(out, first, usage_);
  append_members(out, usage_, {});
  out.append("}");
}

}  // namespace sluice::anthropic
