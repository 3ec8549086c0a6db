#include "translate/responses_tools.h"

#include <algorithm>
#include <vector>

#include "translate/json_steps.h"
#include "translate/json_write.h"
#include "translate/tool_name.h"

namespace sluice::translate {
namespace {

constexpr const char* kHostedTool =
    "'tools' has one of a type that OpenAI's own service runs (file_search, code_interpreter, computer, mcp, shell, "
    "apply_patch, or one that is newer); the server of this model speaks chat completions and has none. Leave it out, "
    "or offer a function that your own program runs.";
constexpr const char* kHostedChoice =
    "'tool_choice' asks for a tool that the server of this model does not have; it speaks chat completions and calls "
    "functions alone.";
constexpr const char* kNothingToCall =
    "'tool_choice' asks for a call, and 'tools' offers nothing that the server of this model could call.";

constexpr std::string_view kNoParameters = R"({"type":"object","properties":{}})";
constexpr std::string_view kTextParameters =
    R"({"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},)"
    R"("required":["input"],"additionalProperties":false})";
constexpr std::string_view kShellFunction =
    R"("description":"Runs a command on the user's machine and returns what it printed.","parameters":{"type":"object",)"
    R"("properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},)"
    R"("working_directory":{"type":"string"},"timeout_ms":{"type":"number"}},"required":["command"]})";

struct OfferedTool {
  std::string_view type, name, description, parameters, strict, format, tools, function;
};

OfferedTool read_offered(std::string_view object) {
  OfferedTool tool;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "type") tool.type = value;
    if (name == "name") tool.name = value;
    if (name == "description") tool.description = value;
    if (name == "parameters") tool.parameters = value;
    if (name == "strict") tool.strict = value;
    if (name == "format") tool.format = value;
    if (name == "tools") tool.tools = value;
    if (name == "function") tool.function = value;
  });
  return tool;
}

// Clients offer these by themselves, and an answer without them is one too.
bool may_be_left_out(std::string_view type) noexcept {
  return inside_of(type).starts_with("web_search") || is_text(type, "image_generation") ||
         is_text(type, "tool_search") || is_text(type, "programmatic_tool_calling");
}

class ChatTools final {
 public:
  ChatTools(Buffer& out, const OfferedTools& offered) : out_(out), offered_(offered) {}

  Status write() {
    read_choice();
    append_named(out_, "tools", "[");
    for (const std::string_view list : offered_.lists) write_list(list, {});
    if (count_ == 0) {
      drop_empty_list();
    } else {
      out_.append("]");
    }
    write_choice();
    if (count_ != 0 && is_said(offered_.parallel)) append_named(out_, "parallel_tool_calls", offered_.parallel);
    return status_;
  }

 private:
  void fail(const char* what) noexcept {
    if (status_) status_ = client_error(ErrorKind::kBadRequest, what);
  }

  void drop_empty_list() {
    constexpr std::string_view kBegun = R"("tools":[)";
    std::size_t size = out_.size() - kBegun.size();
    if (size != 0 && out_.view()[size - 1] == ',') --size;
    out_.truncate(size);
  }

  void read_choice() {
    each_member(offered_.choice, [this](std::string_view name, std::string_view value) {
      if (name == "type") choice_type_ = value;
      if (name == "name") choice_name_ = value;
      if (name == "namespace") choice_space_ = value;
      if (name == "mode") mode_ = value;
      if (name == "tools") each_element(value, [this](std::string_view tool) { allow(wire::skim_find(tool, "name")); });
      if (name == "function") choice_name_ = wire::skim_find(value, "name");  // as chats write it
    });
    std::ranges::sort(allowed_);
  }

  // By its own name or its namespace's, where 'tool_choice' allows some alone.
  [[nodiscard]] bool is_allowed(std::string_view name, std::string_view space) const {
    return !is_text(choice_type_, "allowed_tools") || std::ranges::binary_search(allowed_, name) ||
           std::ranges::binary_search(allowed_, space);
  }
  void allow(std::string_view name) {
    if (!name.empty()) allowed_.push_back(name);
  }

  void write_list(std::string_view list, std::string_view space) {
    each_element(list, [&](std::string_view object) {
      const OfferedTool tool = read_offered(object);
      if (is_text(tool.type, "namespace")) {
        if (space.empty()) write_list(tool.tools, tool.name);
      } else if (!may_be_left_out(tool.type)) {
        write_tool(object, tool, space);
      }
    });
  }

  void write_tool(std::string_view object, const OfferedTool& tool, std::string_view space) {
    if (is_object(tool.function)) {  // as chats write it
      append_comma(out_);
      out_.append(object);
      ++count_;
    } else if (is_text(tool.type, "function")) {
      write_function(tool, space);
    } else if (is_text(tool.type, "custom")) {
      write_custom(tool, space);
    } else if (is_text(tool.type, "local_shell")) {
      begin_function(ToolKind::kShell, "\"local_shell\"", {});
      append_comma(out_);
      out_.append(kShellFunction);
      out_.append("}}");
    } else {
      fail(kHostedTool);
    }
  }

  void write_function(const OfferedTool& tool, std::string_view space) {
    if (!is_allowed(tool.name, space)) return;
    begin_function(ToolKind::kFunction, tool.name, space);
    if (is_said(tool.description)) append_named(out_, "description", tool.description);
    append_named(out_, "parameters", is_object(tool.parameters) ? tool.parameters : kNoParameters);
    if (tool.strict == "true") append_named(out_, "strict", tool.strict);
    out_.append("}}");
  }

  // A grammar cannot be held to; it is shown to the model.
  void write_custom(const OfferedTool& tool, std::string_view space) {
    if (!is_allowed(tool.name, space)) return;
    begin_function(ToolKind::kCustom, tool.name, space);
    const std::string_view definition = inside_of(wire::skim_find(tool.format, "definition"));
    append_named(out_, "description", "\"");
    out_.append(inside_of(tool.description));
    if (!definition.empty()) {
      out_.append("\\n\\nThe input must follow this grammar (");
      out_.append(inside_of(wire::skim_find(tool.format, "syntax")));
      out_.append("):\\n");
      out_.append(definition);
    }
    out_.append("\"");
    append_named(out_, "parameters", kTextParameters);
    out_.append("}}");
  }

  // Up to its name.
  void begin_function(ToolKind kind, std::string_view name, std::string_view space) {
    ++count_;
    append_comma(out_);
    out_.append(R"({"type":"function","function":{)");
    append_function(kind, name, space);
  }
  void append_function(ToolKind kind, std::string_view name, std::string_view space) {
    WipedString spelt, text;
    append_function_name(spelt, kind, unescaped(inside_of(space)), unescaped(inside_of(name)));
    wire::append_json_string(text, spelt);
    append_named(out_, "name", text);
  }

  void write_choice() {
    if (wire::is_string(offered_.choice)) return write_mode(offered_.choice);
    if (!is_object(offered_.choice)) return;
    if (is_text(choice_type_, "allowed_tools")) return write_mode(mode_);
    const bool custom = is_text(choice_type_, "custom");
    const bool shell = is_text(choice_type_, "local_shell");
    if (!custom && !shell && !is_text(choice_type_, "function")) return fail(kHostedChoice);
    if (count_ == 0) return fail(kNothingToCall);
    append_named(out_, "tool_choice", R"({"type":"function","function":{)");
    const ToolKind kind = custom ? ToolKind::kCustom : shell ? ToolKind::kShell : ToolKind::kFunction;
    append_function(kind, shell ? std::string_view("\"local_shell\"") : choice_name_, choice_space_);
    out_.append("}}");
  }

  // Servers refuse a choice among no tools.
  void write_mode(std::string_view mode) {
    if (count_ != 0 && is_said(mode)) return append_named(out_, "tool_choice", mode);
    if (is_text(mode, "required")) fail(kNothingToCall);
  }

  Buffer& out_;
  const OfferedTools& offered_;
  std::string_view choice_type_, choice_name_, choice_space_, mode_;
  std::vector<std::string_view> allowed_;  // of 'allowed_tools', sorted
  std::size_t count_ = 0;
  Status status_ = ok();
};

}  // namespace

Status append_chat_tools(Buffer& out, const OfferedTools& offered) { return ChatTools(out, offered).write(); }

}  // namespace sluice::translate
