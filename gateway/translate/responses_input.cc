#include "translate/responses_input.h"

#include <algorithm>
#include <array>

#include "translate/chat_call.h"
#include "translate/json_steps.h"
#include "translate/json_write.h"
#include "translate/responses_tools.h"
#include "translate/tool_name.h"
#include "wire/raw_string.h"

namespace sluice::translate {
namespace {

constexpr const char* kNoInput = "The request body has no 'input'; give a string or an array of items.";
constexpr const char* kInputForm = "'input' must be a string or an array of items.";
constexpr const char* kReferenceItem =
    "An item of 'input' is an 'item_reference': it names a stored item, and for this model nothing is stored; send the "
    "item itself, as clients do where their option 'store' is false.";
constexpr const char* kUnknownItem =
    "'input' has an item of a type that cannot be said to the server of this model, which speaks chat completions: it "
    "takes messages, function_call, custom_tool_call and local_shell_call with their outputs, and reasoning.";
constexpr const char* kUnknownRole = "A message's 'role' must be 'user', 'assistant', 'system' or 'developer'.";
constexpr const char* kUnknownPart =
    "'input' has content of a type that cannot be said to the server of this model, which speaks chat completions: it "
    "takes input_text, input_image, input_file and input_audio.";
constexpr const char* kTextAlone = "A message of 'system', 'developer' or 'assistant' can hold text alone.";
constexpr const char* kImageById =
    "An 'input_image' needs its 'image_url'; a 'file_id' says nothing to the server of this model.";
constexpr const char* kFileByName =
    "An 'input_file' needs its 'file_data'; the server of this model fetches no 'file_url' and stores no 'file_id'.";
constexpr std::string_view kBetweenTexts = "\\n\\n";
constexpr std::string_view kSeeBelow = "What this tool returned is in the next message.";

struct Item {
  std::string_view type, role, content, id, call_id, name, space, arguments, input, output, action, summary, tools,
      encrypted;
};

Item read_item(std::string_view object) {
  constexpr std::array<std::pair<std::string_view, std::string_view Item::*>, 14> kMembers{
      {{"type", &Item::type},
       {"role", &Item::role},
       {"content", &Item::content},
       {"id", &Item::id},
       {"call_id", &Item::call_id},
       {"name", &Item::name},
       {"namespace", &Item::space},
       {"arguments", &Item::arguments},
       {"input", &Item::input},
       {"output", &Item::output},
       {"action", &Item::action},
       {"summary", &Item::summary},
       {"tools", &Item::tools},
       {"encrypted_content", &Item::encrypted}}};
  Item item;
  each_member(object, [&](std::string_view name, std::string_view value) {
    for (const auto& [known, member] : kMembers) {
      if (name == known) item.*member = value;
    }
  });
  return item;
}

struct Part {
  std::string_view type, text, refusal, image_url, detail, file_data, filename, input_audio;
};

Part read_part(std::string_view object) {
  Part part;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "type") part.type = value;
    if (name == "text") part.text = value;
    if (name == "refusal") part.refusal = value;
    if (name == "image_url") part.image_url = value;
    if (name == "detail") part.detail = value;
    if (name == "file_data") part.file_data = value;
    if (name == "filename") part.filename = value;
    if (name == "input_audio") part.input_audio = value;
  });
  return part;
}

bool is_text_part(std::string_view type) noexcept {
  return is_text(type, "input_text") || is_text(type, "output_text") || is_text(type, "text");
}

// What tools that OpenAI runs did. The words of the model on it stand in a message of their own.
bool is_told_elsewhere(std::string_view type) noexcept {
  constexpr std::array kTypes = {"web_search_call",       "file_search_call",  "code_interpreter_call",
                                 "image_generation_call", "mcp_list_tools",    "mcp_call",
                                 "tool_search_call",      "tool_search_output"};
  return std::ranges::any_of(kTypes, [type](const char* known) { return is_text(type, known); });
}

void join(WipedString& into, std::string_view inside, std::string_view between = kBetweenTexts) {
  if (inside.empty()) return;
  if (!into.empty()) into.append(between);
  into.append(inside);
}

// A turn of the model, until something else is said.
struct Turn {
  WipedString text;       // insides of strings
  WipedString reasoning;  // the same
  std::string_view reasoning_member;
  WipedString calls;  // objects, with commas between them
};

class ChatMessages final {
 public:
  ChatMessages(Buffer& out, std::vector<std::string_view>& more_tools) : out_(out), more_tools_(more_tools) {}

  Status write(std::string_view instructions, std::string_view input) {
    out_.append("[");
    take_instructions(instructions);
    if (wire::is_string(input)) {
      end_system();
      begin_message("user");
      out_.append(input);
      out_.append("}");
    } else if (is_array(input)) {
      each_element(input, [this](std::string_view object) { take_item(read_item(object)); });
      end_system();
      end_turn();
      end_outputs();
    } else {
      fail(is_said(input) ? kInputForm : kNoInput);
    }
    out_.append("]");
    return status_;
  }

 private:
  void fail(const char* what) noexcept {
    if (status_) status_ = client_error(ErrorKind::kBadRequest, what);
  }

  // Up to its content.
  void begin_message(std::string_view role) {
    append_comma(out_);
    out_.append(R"({"role":")");
    out_.append(role);
    out_.append(R"(","content":)");
  }

  // A string, or an array of messages (as servers of stored prompts give them).
  void take_instructions(std::string_view instructions) {
    join(system_, inside_of(instructions));
    each_element(instructions, [this](std::string_view object) { take_item(read_item(object)); });
  }

  void take_item(const Item& item) {
    if (!is_said(item.type) ? is_said(item.role) : is_text(item.type, "message")) return take_message(item);
    if (is_text(item.type, "reasoning")) return take_reasoning(item);
    if (is_text(item.type, "function_call")) return take_call(item, ToolKind::kFunction);
    if (is_text(item.type, "custom_tool_call")) return take_call(item, ToolKind::kCustom);
    if (is_text(item.type, "local_shell_call")) return take_call(item, ToolKind::kShell);
    if (is_text(item.type, "function_call_output") || is_text(item.type, "custom_tool_call_output") ||
        is_text(item.type, "local_shell_call_output"))
      return take_output(item);
    if (is_text(item.type, "additional_tools")) return more_tools_.push_back(item.tools);
    if (is_text(item.type, "item_reference")) return fail(kReferenceItem);
    if (!is_told_elsewhere(item.type)) fail(is_said(item.type) ? kUnknownItem : kReferenceItem);
  }

  // --- messages ---

  void take_message(const Item& item) {
    if (is_text(item.role, "assistant")) return take_assistant(item.content);
    if (is_text(item.role, "user")) return take_user(item.content);
    if (!is_text(item.role, "system") && !is_text(item.role, "developer")) return fail(kUnknownRole);
    if (leading_) return add_text(system_, item.content, kBetweenTexts);
    end_turn();
    end_outputs();
    WipedString text;
    add_text(text, item.content, kBetweenTexts);
    begin_message("system");
    append_quoted(out_, text);
    out_.append("}");
  }

  void add_text(WipedString& into, std::string_view content, std::string_view between) {
    join(into, inside_of(content));
    bool first = true;
    each_element(content, [&](std::string_view object) {
      const Part part = read_part(object);
      const bool refusal = is_text(part.type, "refusal");
      if (!refusal && !is_text_part(part.type)) return fail(kTextAlone);
      join(into, inside_of(refusal ? part.refusal : part.text), first ? kBetweenTexts : between);
      first = false;
    });
  }

  // Two in a row are two, unless calls stand between them: outputs have to follow the message of their calls.
  void take_assistant(std::string_view content) {
    end_system();
    end_outputs();
    if (!turn_.text.empty() && turn_.calls.empty()) end_turn();
    add_text(turn_.text, content, {});
  }

  void take_user(std::string_view content) {
    end_system();
    end_turn();
    end_outputs();
    begin_message("user");
    std::size_t parts = 0;
    std::string_view text;
    each_element(content, [&](std::string_view object) {
      const Part part = read_part(object);
      text = ++parts == 1 && is_text_part(part.type) ? part.text : std::string_view();
    });
    if (wire::is_string(content)) {
      out_.append(content);
    } else if (wire::is_string(text)) {
      out_.append(text);  // the one part; servers that take strings alone are many
    } else {
      out_.append("[");
      each_element(content, [this](std::string_view object) { append_part(out_, read_part(object)); });
      out_.append("]");
    }
    out_.append("}");
  }

  void append_part(Buffer& out, const Part& part) {
    append_comma(out);
    if (is_text_part(part.type)) {
      out.append(R"({"type":"text","text":)");
      out.append(wire::is_string(part.text) ? part.text : std::string_view("\"\""));
      out.append("}");
    } else if (is_text(part.type, "input_image") || is_text(part.type, "image_url")) {
      append_image(out, part);
    } else if (is_text(part.type, "input_file")) {
      if (!wire::is_string(part.file_data)) fail(kFileByName);
      out.append(R"({"type":"file","file":{"filename":)");
      out.append(wire::is_string(part.filename) ? part.filename : std::string_view("\"file\""));
      append_named(out, "file_data", part.file_data);
      out.append("}}");
    } else if (is_text(part.type, "input_audio") && is_object(part.input_audio)) {
      out.append(R"({"type":"input_audio")");
      append_named(out, "input_audio", part.input_audio);
      out.append("}");
    } else {
      fail(kUnknownPart);
    }
  }

  void append_image(Buffer& out, const Part& part) {
    const std::string_view url = is_object(part.image_url) ? wire::skim_find(part.image_url, "url") : part.image_url;
    if (!wire::is_string(url)) fail(kImageById);
    out.append(R"({"type":"image_url","image_url":{"url":)");
    out.append(url);
    const bool known = is_text(part.detail, "low") || is_text(part.detail, "high") || is_text(part.detail, "auto");
    if (known) append_named(out, "detail", part.detail);
    if (is_text(part.detail, "original")) append_named(out, "detail", "\"high\"");
    out.append("}}");
  }

  // --- the model's turn ---

  void take_reasoning(const Item& item) {
    end_system();
    end_outputs();
    if (!turn_.text.empty() && turn_.calls.empty()) end_turn();
    const std::string_view member = thinking_member(inside_of(item.encrypted));
    if (member.empty()) return;
    turn_.reasoning_member = member;
    WipedString text;
    for (const std::string_view list : {item.content, item.summary}) {
      if (!text.empty()) break;  // the summary repeats it
      each_element(list, [&](std::string_view object) { join(text, inside_of(read_part(object).text)); });
    }
    join(turn_.reasoning, text);
  }

  void take_call(const Item& item, ToolKind kind) {
    end_system();
    end_outputs();
    if (!turn_.calls.empty()) turn_.calls += ',';
    turn_.calls.append(R"({"id":)").append(id_of(item)).append(R"(,"type":"function","function":{"name":)");
    WipedString spelt;
    const bool shell = kind == ToolKind::kShell;
    append_function_name(spelt, kind, unescaped(inside_of(item.space)),
                         shell ? WipedString("local_shell") : unescaped(inside_of(item.name)));
    wire::append_json_string(turn_.calls, spelt);
    turn_.calls.append(R"(,"arguments":)");
    append_arguments(item, kind);
    turn_.calls.append("}}");
  }

  // Arguments are a string that holds JSON; some templates read it, and none reads nothing.
  void append_arguments(const Item& item, ToolKind kind) {
    if (kind == ToolKind::kFunction) {
      const bool some = wire::is_string(item.arguments) && item.arguments.size() > 2;
      turn_.calls.append(some ? item.arguments : std::string_view("\"{}\""));
    } else if (kind == ToolKind::kShell) {
      wire::append_json_string(turn_.calls, is_object(item.action) ? item.action : std::string_view("{}"));
    } else {
      WipedString object("{\"");
      object.append(kTextArgument).append("\":");
      object.append(wire::is_string(item.input) ? item.input : std::string_view("\"\"")).append("}");
      wire::append_json_string(turn_.calls, object);
    }
  }

  static std::string_view id_of(const Item& item) noexcept {
    if (wire::is_string(item.call_id)) return item.call_id;
    return wire::is_string(item.id) ? item.id : std::string_view("\"\"");
  }

  // Reasoning alone is a turn that was broken off.
  void end_turn() {
    if (!turn_.text.empty() || !turn_.calls.empty()) {
      begin_message("assistant");
      if (turn_.text.empty()) {
        out_.append("null");
      } else {
        append_quoted(out_, turn_.text);
      }
      if (!turn_.reasoning.empty()) {
        append_named(out_, turn_.reasoning_member);
        append_quoted(out_, turn_.reasoning);
      }
      if (!turn_.calls.empty()) {
        append_named(out_, "tool_calls", "[");
        out_.append(turn_.calls);
        out_.append("]");
      }
      out_.append("}");
    }
    turn_ = {};
  }

  // --- what tools returned ---

  // A chat has no images there: they follow, behind all outputs of the turn.
  void take_output(const Item& item) {
    end_system();
    end_turn();
    append_comma(out_);
    out_.append(R"({"role":"tool","tool_call_id":)");
    out_.append(id_of(item));
    out_.append(R"(,"content":)");
    if (wire::is_string(item.output)) {
      out_.append(item.output);
    } else if (is_array(item.output)) {
      append_output_parts(item.output);
    } else {
      WipedString text;
      wire::append_json_string(text, is_said(item.output) ? item.output : std::string_view());
      out_.append(text);
    }
    out_.append("}");
  }

  void append_output_parts(std::string_view parts) {
    WipedString text;
    bool others = false;
    each_element(parts, [&](std::string_view object) {
      const Part part = read_part(object);
      if (is_text_part(part.type)) return join(text, inside_of(part.text), "\\n");
      others = true;
      append_part(shown_, part);
    });
    if (others) join(text, kSeeBelow);
    append_quoted(out_, text);
  }

  void end_outputs() {
    if (shown_.empty()) return;
    begin_message("user");
    out_.append("[");
    out_.append(shown_.view());
    out_.append("]}");
    shown_.clear();
  }

  // Something else than instructions comes.
  void end_system() {
    if (!leading_) return;
    leading_ = false;
    if (system_.empty()) return;
    begin_message("system");
    append_quoted(out_, system_);
    out_.append("}");
  }

  Buffer& out_;
  std::vector<std::string_view>& more_tools_;
  WipedString system_;   // the inside of a string
  bool leading_ = true;  // nothing but instructions was said
  Turn turn_;
  Buffer shown_;  // parts that tools returned and a chat cannot have in their messages
  Status status_ = ok();
};

}  // namespace

Status append_chat_messages(Buffer& out, std::string_view instructions, std::string_view input,
                            std::vector<std::string_view>& more_tools) {
  return ChatMessages(out, more_tools).write(instructions, input);
}

}  // namespace sluice::translate
