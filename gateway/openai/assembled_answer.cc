#include "openai/assembled_answer.h"

#include <algorithm>

#include "wire/skim.h"

namespace sluice::openai {
namespace {

constexpr std::uint64_t kMostRows = 1 << 18;    // of choices and calls in all: as many choices as a call can ask for
constexpr std::size_t kMostParts = 256;         // members of one object, each looked for among those before it
constexpr std::size_t kMostOutOfOrder = 1'024;  // rows, from where on each comes behind those before it

// Strings of a delta that are said once and not in pieces.
bool is_said_whole(std::string_view name) noexcept {
  return name == "role" || name == "id" || name == "type" || name == "name" || name == "index";
}

void append_name(Buffer& out, std::string_view name) {
  out.append("\"");
  out.append(name);
  out.append("\":");
}

}  // namespace

void AssembledAnswer::take(Buffer& events) {
  std::string_view rest = events.view();
  wire::RawEvent raw;
  while (splitter_.next(rest, raw) == wire::EventSplitter::Found::kEvent)
    take_data(wire::read_event(raw, joined_).data);
  events.consume(events.size() - rest.size());
}

void AssembledAnswer::take_data(std::string_view data) {
  wire::Skimmer skimmer(data);
  if (skimmer.open('{') != wire::Skim::kMember) return;  // [DONE]
  const bool first = head_.empty();
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "error" && member.value != "null") {
      error_.assign(data);
    } else if (member.name == "choices") {
      wire::Skimmer list(member.value);
      if (list.open('[') != wire::Skim::kMember) continue;
      for (std::string_view choice; !odd_ && list.element(choice) == wire::Skim::kMember;) take_choice(choice);
    } else if (member.name == "usage") {
      if (member.value.front() == '{') usage_.assign(member.value);
    } else if (api_of(endpoint_) == Api::kResponse) {
      if (member.name == "response") response_.assign(member.value);
    } else if (first && member.name != "object") {
      take_member(head_, member.name, member.value);
    }
  }
  if (!response_.empty()) size_bytes_ = response_.size();
}

template <class Row>
Row* AssembledAnswer::row_of(std::vector<Row>& rows, std::uint64_t index) {
  const auto at = std::ranges::lower_bound(rows, index, {}, &Row::index);
  if (at != rows.end() && at->index == index) return &*at;
  odd_ = odd_ || (at != rows.end() && rows.size() >= kMostOutOfOrder) || row_count_ == kMostRows;
  if (odd_) return nullptr;
  ++row_count_;
  Row row;
  row.index = index;
  size_bytes_ += 64;  // what stands around its members
  return &*rows.insert(at, std::move(row));
}

void AssembledAnswer::take_choice(std::string_view text) {
  const std::uint64_t index = wire::skim_count(wire::skim_find(text, "index"));
  if (index >= kMostRows) {
    odd_ = true;
    return;
  }
  Choice* const row = row_of(choices_, index);
  if (row == nullptr) return;
  Choice& choice = *row;
  wire::Skimmer skimmer(text);
  if (skimmer.open('{') != wire::Skim::kMember) return;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "delta") {
      take_members(member.value, choice);
    } else if (member.name == "text") {
      take_member(choice.message, member.name, member.value);
    } else if (member.name == "finish_reason") {
      if (wire::is_string(member.value)) choice.finish_reason.assign(member.value);
    } else if (member.name == "logprobs") {
      odd_ = odd_ || member.value != "null";
    }
  }
}

void AssembledAnswer::take_members(std::string_view object, Choice& choice) {
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "tool_calls") {
      take_calls(member.value, choice);
    } else {
      take_member(choice.message, member.name, member.value);
    }
  }
}

void AssembledAnswer::take_calls(std::string_view list, Choice& choice) {
  wire::Skimmer calls(list);
  if (calls.open('[') != wire::Skim::kMember) return;
  std::uint64_t position = 0;
  for (std::string_view text; calls.element(text) == wire::Skim::kMember; ++position) {
    const std::string_view said = wire::skim_find(text, "index");
    ToolCall* const row = row_of(choice.calls, std::min(said.empty() ? position : wire::skim_count(said), kMostRows));
    if (row == nullptr) return;
    ToolCall& call = *row;
    wire::Skimmer members(text);
    if (members.open('{') != wire::Skim::kMember) continue;
    wire::SkimMember member;
    while (members.member(member) == wire::Skim::kMember) {
      if (member.name != "function") {
        if (member.name != "index") take_member(call.members, member.name, member.value);
        continue;
      }
      wire::Skimmer function(member.value);
      if (function.open('{') != wire::Skim::kMember) continue;
      for (wire::SkimMember inner; function.member(inner) == wire::Skim::kMember;)
        take_member(call.function, inner.name, inner.value);
    }
  }
}

void AssembledAnswer::take_member(std::vector<Part>& parts, std::string_view name, std::string_view value) {
  const auto known = std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return part.name == name; });
  const bool fresh = known == parts.end();
  if (value == "null" && !fresh) return;
  if (fresh && parts.size() == kMostParts) {
    odd_ = true;
    return;
  }
  Part& part = fresh ? parts.emplace_back() : *known;
  if (fresh) part.name.assign(name);
  const std::size_t before = fresh ? 0 : part.value.size();
  if (!wire::is_string(value)) {
    part.value.assign(value);
    part.string = false;
  } else if (!part.string || (is_said_whole(name) && value.size() > 2)) {
    part.value.assign(wire::unquoted(value));
    part.string = true;
  } else {
    part.value.append(wire::unquoted(value));
  }
  size_bytes_ += part.value.size() - before + (fresh ? name.size() + 8 : 0);
}

Converted AssembledAnswer::append_to(Buffer& out) const {
  if (api_of(endpoint_) == Api::kResponse) {
    out.append(response_);
    return response_.empty() ? Converted::kNot : Converted::kDone;
  }
  if (odd_ || choices_.empty() || endpoint_.work == dialect::Work::kMake) return Converted::kNot;
  out.append(api_of(endpoint_) == Api::kChat ? "{\"object\":\"chat.completion\"" : "{\"object\":\"text_completion\"");
  for (const Part& part : head_) {
    out.append(",");
    append_name(out, part.name);
    if (part.string) out.append("\"");
    out.append(part.value);
    if (part.string) out.append("\"");
  }
  out.append(",\"choices\":[");
  for (const Choice& choice : choices_) {
    if (&choice != &choices_.front()) out.append(",");
    append_choice(out, choice);
  }
  out.append("]");
  if (!usage_.empty()) {
    out.append(",\"usage\":");
    out.append(usage_);
  }
  out.append("}");
  return Converted::kDone;
}

void AssembledAnswer::append_choice(Buffer& out, const Choice& choice) const {
  const auto append_parts = [&out](const std::vector<Part>& parts) {
    for (const Part& part : parts) {
      if (&part != &parts.front()) out.append(",");
      append_name(out, part.name);
      if (part.string) out.append("\"");
      out.append(part.value);
      if (part.string) out.append("\"");
    }
  };
  const auto has = [&choice](std::string_view name) {
    return std::any_of(choice.message.begin(), choice.message.end(),
                       [&](const Part& part) { return part.name == name; });
  };
  const bool chat = api_of(endpoint_) == Api::kChat;
  out.append("{\"index\":");
  const std::string index = std::to_string(choice.index);
  out.append(index);
  out.append(chat ? ",\"message\":{" : has("text") ? "," : ",\"text\":\"\"");
  if (chat && !has("role")) out.append(choice.message.empty() ? "\"role\":\"assistant\"" : "\"role\":\"assistant\",");
  append_parts(choice.message);
  if (chat && !has("content")) out.append(",\"content\":null");
  for (const ToolCall& call : choice.calls) {
    out.append(&call == &choice.calls.front() ? ",\"tool_calls\":[{" : ",{");
    append_parts(call.members);
    out.append(call.members.empty() ? "\"function\":{" : ",\"function\":{");
    append_parts(call.function);
    out.append(&call == &choice.calls.back() ? "}}]" : "}}");
  }
  out.append(chat ? "},\"logprobs\":null,\"finish_reason\":" : ",\"logprobs\":null,\"finish_reason\":");
  out.append(choice.finish_reason.empty() ? std::string_view("null") : std::string_view(choice.finish_reason));
  out.append("}");
}

}  // namespace sluice::openai
