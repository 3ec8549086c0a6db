#include "openai/answer_events.h"

#include <algorithm>
#include <charconv>

#include "wire/skim.h"
#include "wire/sse_events.h"

namespace sluice::openai {
namespace {

void append_count(Buffer& out, std::size_t number) {
  char digits[20];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append({digits, static_cast<std::size_t>(written.ptr - digits)});
}

// ,"name":value
void append_member(Buffer& out, std::string_view name, std::string_view value) {
  out.append(",\"");
  out.append(name);
  out.append("\":");
  out.append(value);
}

// In one line, as clients expect it: line ends of an answer that was printed for people are white space.
void append_line_event(Buffer& out, Buffer& json) {
  std::replace_if(
      json.data(), json.data() + json.size(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  wire::append_event(out, {}, json.view());
}

bool is_object(std::string_view value) noexcept { return !value.empty() && value.front() == '{'; }
bool says_something(std::string_view value) noexcept { return !value.empty() && value != "null"; }

// One choice of a whole answer: views into it.
struct WholeChoice {
  std::string_view index, message, text, logprobs, finish_reason, usage;
};

WholeChoice read_choice(std::string_view object) noexcept {
  WholeChoice choice;
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return choice;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "index") choice.index = member.value;
    if (member.name == "message" || (member.name == "delta" && choice.message.empty())) choice.message = member.value;
    if (member.name == "text") choice.text = member.value;
    if (member.name == "logprobs") choice.logprobs = member.value;
    if (member.name == "finish_reason") choice.finish_reason = member.value;
    if (member.name == "usage") choice.usage = member.value;
  }
  return choice;
}

class ChatEvents final {
 public:
  ChatEvents(Buffer& out, std::string_view answer) : out_(out), answer_(answer) {}

  Converted write() {
    wire::Skimmer skimmer(answer_);
    if (skimmer.open('{') != wire::Skim::kMember) return Converted::kNot;
    std::string_view choices, usage;
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      if (member.name == "choices") {
        choices = member.value;
      } else if (member.name == "usage") {
        usage = member.value;
      } else if (member.name != "object" && member.name != "error") {
        append_member(head_, member.name, member.value);
      }
    }
    if (write_choices(choices) == Converted::kNot) return Converted::kNot;
    if (is_object(usage)) {
      begin_chunk();
      chunk_.append("]");
      append_member(chunk_, "usage", usage);
      end_chunk("}");
    }
    return Converted::kDone;
  }

 private:
  Converted write_choices(std::string_view choices) {
    wire::Skimmer list(choices);
    if (list.open('[') != wire::Skim::kMember) return Converted::kNot;
    std::string_view element;
    std::size_t count = 0;
    for (; list.element(element) == wire::Skim::kMember; ++count) {
      WholeChoice choice = read_choice(element);
      if (!is_object(choice.message) && choice.text.empty()) return Converted::kNot;
      write_choice(choice, count);
    }
    return count == 0 ? Converted::kNot : Converted::kDone;
  }

  void write_choice(const WholeChoice& choice, std::size_t position) {
    std::string_view role = wire::skim_find(choice.message, "role");
    if (!wire::is_string(role)) role = "\"assistant\"";
    begin_choice(choice, position);
    append_member(chunk_, "delta", "{\"role\":");
    chunk_.append(role);
    chunk_.append("}");
    append_member(chunk_, "finish_reason", "null");
    end_chunk("}]}");

    begin_choice(choice, position);
    append_member(chunk_, "delta", "{");
    const bool tools = append_delta(choice);
    chunk_.append("}");
    if (says_something(choice.logprobs)) append_member(chunk_, "logprobs", choice.logprobs);
    append_member(chunk_, "finish_reason", "null");
    end_chunk("}]}");

    begin_choice(choice, position);
    append_member(chunk_, "delta", "{}");
    const bool ends = wire::is_string(choice.finish_reason) && choice.finish_reason.size() > 2;
    append_member(chunk_, "finish_reason", ends ? choice.finish_reason : tools ? "\"tool_calls\"" : "\"stop\"");
    if (is_object(choice.usage)) append_member(chunk_, "usage", choice.usage);
    end_chunk("}]}");
  }

  // What the message says, but for its role. True: it calls tools.
  bool append_delta(const WholeChoice& choice) {
    bool tools = false;
    bool first = true;
    wire::Skimmer skimmer(choice.message);
    wire::SkimMember member;
    if (skimmer.open('{') != wire::Skim::kMember) {
      chunk_.append("\"content\":");
      chunk_.append(choice.text);
      return false;
    }
    while (skimmer.member(member) == wire::Skim::kMember) {
      if (member.name == "role" || member.value == "null") continue;
      if (!first) chunk_.append(",");
      first = false;
      chunk_.append("\"");
      chunk_.append(member.name);
      chunk_.append("\":");
      if (member.name == "tool_calls" && member.value.front() == '[') {
        tools = append_tool_calls(member.value);
      } else {
        chunk_.append(member.value);
      }
    }
    return tools;
  }

  // In a stream a call says which one it is.
  bool append_tool_calls(std::string_view calls) {
    wire::Skimmer list(calls);
    (void)list.open('[');
    std::string_view call;
    std::size_t position = 0;
    chunk_.append("[");
    for (; list.element(call) == wire::Skim::kMember; ++position) {
      if (position != 0) chunk_.append(",");
      if (!is_object(call) || !wire::skim_find(call, "index").empty()) {
        chunk_.append(call);
        continue;
      }
      chunk_.append("{\"index\":");
      append_count(chunk_, position);
      const std::string_view rest = call.substr(1);
      if (rest.find_first_not_of(" \t\r\n") != rest.find('}')) chunk_.append(",");
      chunk_.append(rest);
    }
    chunk_.append("]");
    return position != 0;
  }

  void begin_chunk() {
    chunk_.clear();
    chunk_.append("{\"object\":\"chat.completion.chunk\"");
    chunk_.append(head_.view());
    chunk_.append(",\"choices\":[");
  }
  void begin_choice(const WholeChoice& choice, std::size_t position) {
    begin_chunk();
    chunk_.append("{\"index\":");
    if (choice.index.empty()) {
      append_count(chunk_, position);
    } else {
      chunk_.append(choice.index);
    }
  }
  void end_chunk(std::string_view end) {
    chunk_.append(end);
    append_line_event(out_, chunk_);
  }

  Buffer& out_;
  std::string_view answer_;
  Buffer head_;  // members that every chunk has, each with a comma before it
  Buffer chunk_;
};

// What was heard, as one piece.
Converted append_heard(Buffer& out, std::string_view answer) {
  const std::string_view text = wire::skim_find(answer, "text");
  if (!wire::is_string(text)) return Converted::kNot;
  Buffer event;
  event.append(R"({"type":"transcript.text.delta")");
  append_member(event, "delta", text);
  event.append("}");
  append_line_event(out, event);
  event.clear();
  event.append(R"({"type":"transcript.text.done")");
  append_member(event, "text", text);
  if (const std::string_view usage = wire::skim_find(answer, "usage"); is_object(usage))
    append_member(event, "usage", usage);
  event.append("}");
  append_line_event(out, event);
  return Converted::kDone;
}

// Images, each with an event of its own; what they used is told with the last.
Converted append_images(Buffer& out, const Endpoint& endpoint, std::string_view answer) {
  const std::string_view usage = wire::skim_find(answer, "usage");
  const bool edited = endpoint.body == dialect::BodyKind::kMultipart;
  wire::Skimmer list(wire::skim_find(answer, "data"));
  if (list.open('[') != wire::Skim::kMember) return Converted::kNot;
  std::string_view image;
  Buffer event;
  while (list.element(image) == wire::Skim::kMember) {
    if (!is_object(image)) return Converted::kNot;
    if (!event.empty()) {
      event.append("}");
      append_line_event(out, event);
    }
    event.clear();
    event.append(edited ? R"({"type":"image_edit.completed")" : R"({"type":"image_generation.completed")");
    const std::string_view members = image.substr(1, image.size() - 2);
    if (members.find_first_not_of(" \t\r\n") != std::string_view::npos) event.append(",");
    event.append(members);
  }
  if (event.empty()) return Converted::kNot;
  if (is_object(usage)) append_member(event, "usage", usage);
  event.append("}");
  append_line_event(out, event);
  out.append("data: [DONE]\n\n");
  return Converted::kDone;
}

}  // namespace

Converted append_as_events(Buffer& out, const Endpoint& endpoint, std::string_view answer) {
  switch (api_of(endpoint)) {
    case Api::kChat:
      if (ChatEvents(out, answer).write() == Converted::kNot) return Converted::kNot;
      break;
    case Api::kCompletion: {
      Buffer chunk;
      chunk.append(answer);
      append_line_event(out, chunk);
      break;
    }
    case Api::kTranscription:
      return append_heard(out, answer);
    case Api::kImage:
      return append_images(out, endpoint, answer);
    default:
      return Converted::kNot;
  }
  out.append("data: [DONE]\n\n");
  return Converted::kDone;
}

}  // namespace sluice::openai
