#include "translate/response_items.h"

#include "translate/chat_call.h"
#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "translate/responses_tools.h"
#include "wire/json_check.h"

namespace sluice::translate {
namespace {

std::string_view id_prefix(const OutputItem& item) noexcept {
  if (item.kind == ItemKind::kReasoning) return "rs_";
  if (item.kind == ItemKind::kMessage) return "msg_";
  if (item.tool.kind == ToolKind::kCustom) return "ctc_";
  return item.tool.kind == ToolKind::kShell ? "lsh_" : "fc_";
}

std::string_view word_of(ItemStatus status) noexcept {
  if (status == ItemStatus::kInProgress) return "\"in_progress\"";
  return status == ItemStatus::kCompleted ? "\"completed\"" : "\"incomplete\"";
}

void append_message_content(Buffer& out, const OutputItem& item) {
  append_named(out, "content", "[");
  if (item.has_text) append_text_part(out, item.text, item.logprobs);
  if (item.has_refusal) {
    append_comma(out);
    out.append(R"({"type":"refusal")");
    append_named(out, "refusal");
    append_quoted(out, item.refusal);
    out.append("}");
  }
  out.append("]");
}

void append_tool(Buffer& out, const ToolName& tool) {
  append_named(out, "name");
  append_string(out, tool.name);
  if (tool.space.empty()) return;
  append_named(out, "namespace");
  append_string(out, tool.space);
}

// What a command is run with, out of the model's arguments. What a model wrote that is no JSON is no command.
void append_shell_action(Buffer& out, std::string_view arguments) {
  append_named(out, "action", R"({"type":"exec")");
  WipedString object = unescaped(arguments);
  if (!wire::is_json_object(object)) object.clear();
  bool command = false, environment = false;
  each_member_as_it_stands(object, [&](std::string_view name, std::string_view value) {
    command = command || name == "command";
    environment = environment || name == "env";
    if (name != "type") append_named(out, name, value);
  });
  if (!command) append_named(out, "command", "[]");
  if (!environment) append_named(out, "env", "{}");
  out.append("}");
}

void append_call(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts,
                 ItemStatus status) {
  append_named(out, "call_id");
  append_call_id(out, item, position, facts);
  const bool begun = status == ItemStatus::kInProgress;
  if (item.tool.kind == ToolKind::kShell) return append_shell_action(out, begun ? "{}" : std::string_view(item.text));
  append_tool(out, item.tool);
  if (item.tool.kind == ToolKind::kFunction) {
    append_named(out, "arguments");
    return append_quoted(out, item.text);
  }
  append_named(out, "input", begun ? "\"\"" : "");
  if (!begun) append_text_input(out, item.text);
}

}  // namespace

void append_item_id(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts) {
  out.append("\"");
  out.append(id_prefix(item));
  out.append(facts.unique);
  out.append("_");
  append_number(out, position);
  out.append("\"");
}

void append_call_id(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts) {
  if (!item.call_id.empty()) return append_quoted(out, item.call_id);
  out.append("\"call_");
  out.append(facts.unique);
  out.append("_");
  append_number(out, position);
  out.append("\"");
}

void append_text_part(Buffer& out, std::string_view text, std::string_view logprobs) {
  out.append(R"({"type":"output_text","text":)");
  append_quoted(out, text);
  out.append(R"(,"annotations":[],"logprobs":[)");
  out.append(logprobs);
  out.append("]}");
}

void append_item(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts,
                 ItemStatus status) {
  out.append(R"({"id":)");
  append_item_id(out, item, position, facts);
  switch (item.kind) {
    case ItemKind::kReasoning:
      append_named(out, "type", R"("reasoning")");
      append_named(out, "summary", "[");
      if (!item.text.empty()) {
        out.append(R"({"type":"summary_text","text":)");
        append_quoted(out, item.text);
        out.append("}");
      }
      out.append("]");
      // Clients give back no reasoning that has none; with it goes by what name the server knows its own words.
      append_named(out, "encrypted_content", "\"");
      out.append(kSignatureMark);
      out.append(item.member);
      out.append("\"");
      break;
    case ItemKind::kMessage:
      append_named(out, "type", R"("message")");
      append_named(out, "role", R"("assistant")");
      append_message_content(out, item);
      break;
    case ItemKind::kCall: {
      const bool custom = item.tool.kind == ToolKind::kCustom;
      const bool shell = item.tool.kind == ToolKind::kShell;
      append_named(out, "type",
                   custom  ? R"("custom_tool_call")"
                   : shell ? R"("local_shell_call")"
                           : R"("function_call")");
      append_call(out, item, position, facts, status);
      break;
    }
  }
  append_named(out, "status", word_of(status));
  out.append("}");
}

void append_text_input(Buffer& out, std::string_view arguments) {
  const WipedString object = unescaped(arguments);
  std::string_view found, any;
  std::size_t members = 0;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (++members == 1 && wire::is_string(value)) any = value;
    if (name == kTextArgument && wire::is_string(value)) found = value;
  });
  if (found.empty() && members == 1) found = any;
  // What a model wrote as JSON may not be: it is read as far as it goes, and written anew.
  append_string(out, found.empty() ? object : unescaped(wire::unquoted(found)));
}

OutputItem begin_call(const ChatToolCall& call) {
  OutputItem item;
  item.kind = ItemKind::kCall;
  item.tool = tool_of(unescaped(call.name));
  item.call_id = call.id;
  return item;
}

void append_arguments(WipedString& into, std::string_view value) {
  if (wire::is_string(value)) {
    into.append(wire::unquoted(value));
  } else if (is_object(value)) {
    wire::append_escaped(into, value);
  }
}

}  // namespace sluice::translate
