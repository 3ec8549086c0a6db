// One class writes one body, and is longer than a file should be: each kind of content is a few lines that are read beside
// the others, in the order in which a chat wants them.
#include "translate/chat_call.h"

#include <algorithm>
#include <array>

#include "base/wiped_string.h"
#include "translate/json_steps.h"
#include "translate/json_write.h"

namespace sluice::translate {
namespace {

constexpr Error refuse(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

constexpr Error kToolOfAnthropic = refuse(
    "'tools' has one that Anthropic's own service defines (its 'type' is not 'custom'), such as a web search; the "
    "server of this model has none. Leave it out, or call a model that a server of Anthropic's API serves.");
constexpr Error kMcpServers = refuse(
    "'mcp_servers' are called by Anthropic's own service; the server of this model calls none. Give their tools in "
    "'tools' and call them yourself.");
constexpr Error kNothingGenerated = refuse(
    "'max_tokens': 0 only warms a cache, and the server of this model has no such call; ask for 1 at the least.");
constexpr Error kRole = refuse("A message's 'role' must be 'user', 'assistant' or 'system'.");
constexpr Error kContent = refuse("A message's 'content' must be a string or an array of content blocks.");
constexpr Error kBlock =
    refuse("'messages' has a content block of a type that the server of this model has no words for.");
constexpr Error kImage = refuse("An image's 'source' must be of type 'base64' or 'url'.");
constexpr Error kDocument =
    refuse("A document's 'source' must be of type 'text', 'content' or 'base64' for the server of this model.");

// Claude Code's note for Anthropic's accounting, the first block of its system prompt: it differs from call to call, and
// would keep a server from using what it has in its prompt cache.
constexpr std::string_view kBillingNote = "x-anthropic-billing-header:";

// What only a server of Anthropic's did itself, and told: its words on it stand beside it as text.
bool is_of_server(std::string_view type) noexcept {
  constexpr std::array kTypes = {"\"redacted_thinking\"",
                                 "\"server_tool_use\"",
                                 "\"web_search_tool_result\"",
                                 "\"web_fetch_tool_result\"",
                                 "\"code_execution_tool_result\"",
                                 "\"bash_code_execution_tool_result\"",
                                 "\"text_editor_code_execution_tool_result\"",
                                 "\"tool_search_tool_result\"",
                                 "\"mcp_tool_use\"",
                                 "\"mcp_tool_result\"",
                                 "\"compaction\""};
  return std::ranges::find(kTypes, type, [](const char* text) { return std::string_view(text); }) != kTypes.end();
}

// The members of a content block that are read, of whatever type it is.
struct Block {
  std::string_view type, text, thinking, signature, source, title, id, name, input, tool_use_id, content, is_error;
};

Block read_block(std::string_view object) {
  Block block;
  each_member(object, [&](std::string_view name, std::string_view value) {
    constexpr std::array<std::pair<std::string_view, std::string_view Block::*>, 12> kMembers{{
        {"type", &Block::type},
        {"text", &Block::text},
        {"thinking", &Block::thinking},
        {"signature", &Block::signature},
        {"source", &Block::source},
        {"title", &Block::title},
        {"id", &Block::id},
        {"name", &Block::name},
        {"input", &Block::input},
        {"tool_use_id", &Block::tool_use_id},
        {"content", &Block::content},
        {"is_error", &Block::is_error},
    }};
    for (const auto& [known, member] : kMembers) {
      if (name == known) block.*member = value;
    }
  });
  return block;
}

struct Source {
  std::string_view type, media_type, data, url, content;
};

Source read_source(std::string_view object) {
  Source source;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "type") source.type = value;
    if (name == "media_type") source.media_type = value;
    if (name == "data") source.data = value;
    if (name == "url") source.url = value;
    if (name == "content") source.content = value;
  });
  return source;
}

// A JSON string that is made of several: "one\n\ntwo".
class JoinedText final {
 public:
  explicit JoinedText(Buffer& out) : out_(out) { out_.append("\""); }
  void add(std::string_view inside, std::string_view between = "\\n\\n") {
    if (inside.empty()) return;
    if (!empty_) out_.append(between);
    out_.append(inside);
    empty_ = false;
  }
  [[nodiscard]] bool empty() const noexcept { return empty_; }
  void end() { out_.append("\""); }

 private:
  Buffer& out_;
  bool empty_ = true;
};

// One body, member by member.
class ChatCall final {
 public:
  explicit ChatCall(Buffer& out) noexcept : out_(out) {}

  Status write(std::string_view body) {
    std::string_view model, system, messages, tools, choice, format;
    out_.append("{");
    each_member(body, [&](std::string_view name, std::string_view value) {
      if (name == "model") model = value;
      if (name == "system") system = value;
      if (name == "messages") messages = value;
      if (name == "tools") tools = value;
      if (name == "tool_choice") choice = value;
      if (name == "output_config") format = wire::skim_find(value, "format");
      if (name == "output_format") format = value;
      if (name == "max_tokens" && wire::skim_count(value) == 0 && is_zero(value)) status_ = kNothingGenerated;
      if (name == "mcp_servers" && is_array(value) && !is_empty(value)) status_ = kMcpServers;
      const bool same = name == "stream" || name == "temperature" || name == "top_p";
      if (same && is_said(value)) append_named(out_, name, value);
      if (name == "stop_sequences" && is_array(value) && !is_empty(value)) append_named(out_, "stop", value);
    });
    if (!model.empty()) append_named(out_, "model", model);
    write_messages(system, messages);
    if (is_array(tools) && !is_empty(tools)) {
      write_tools(tools);
      write_choice(choice);
    }
    write_format(format);
    out_.append("}");
    return status_;
  }

 private:
  static bool is_zero(std::string_view number) noexcept {
    return number.substr(0, number.find_first_of("eE")).find_first_of("123456789") == std::string_view::npos;
  }
  static bool is_empty(std::string_view container) noexcept {
    return container.find_first_not_of(" \t\r\n", 1) == container.size() - 1;
  }
  void fail(const Error& error) noexcept {
    if (status_) status_ = error;
  }

  // --- messages ---

  void write_messages(std::string_view system, std::string_view messages) {
    append_named(out_, "messages", "[");
    if (is_said(system)) write_system(system);
    each_element(messages, [this](std::string_view message) { write_message(message); });
    out_.append("]");
  }

  void write_system(std::string_view content) {
    append_comma(out_);
    const std::size_t begin = out_.size();
    append_role("system");
    JoinedText text(out_);
    if (wire::is_string(content)) text.add(wire::unquoted(content));
    each_element(content, [&](std::string_view object) {
      const std::string_view inside = inside_of(read_block(object).text);
      if (!inside.starts_with(kBillingNote)) text.add(inside);
    });
    text.end();
    out_.append("}");
    if (text.empty()) drop(begin);
  }

  void write_message(std::string_view message) {
    std::string_view role, content;
    each_member(message, [&](std::string_view name, std::string_view value) {
      if (name == "role") role = value;
      if (name == "content") content = value;
    });
    if (!wire::is_string(content) && !is_array(content)) return fail(kContent);
    if (is_text(role, "assistant")) return write_assistant(content);
    if (is_text(role, "system")) return write_system(content);
    if (!is_text(role, "user")) return fail(kRole);
    if (is_array(content)) return write_user(content);
    append_comma(out_);
    append_role("user");
    out_.append(content);
    out_.append("}");
  }

  // What follows is the content.
  void append_role(std::string_view role) {
    out_.append(R"({"role":")");
    out_.append(role);
    out_.append(R"(","content":)");
  }

  // Takes back what was written from `begin` on, and the comma before it.
  void drop(std::size_t begin) {
    if (begin != 0 && out_.view()[begin - 1] == ',') --begin;
    out_.truncate(begin);
  }

  // Results of tools come before what the user says of them, as a chat wants it. Images in results cannot stand there:
  // they begin the user's own message.
  void write_user(std::string_view blocks) {
    bool parts = false;  // something else than text
    bool others = false;
    each_element(blocks, [&](std::string_view object) {
      const Block block = read_block(object);
      if (is_text(block.type, "tool_result")) {
        write_result(block);
        parts = parts || has_parts(block.content);
      } else {
        others = true;
        parts = parts || is_part(block.type);
      }
    });
    if (!others && !parts) return;
    append_comma(out_);
    append_role("user");
    if (parts) {
      write_parts(blocks);
    } else {
      JoinedText text(out_);
      each_element(blocks, [&](std::string_view object) {
        const Block block = read_block(object);
        if (!is_text(block.type, "tool_result")) add_text(text, block);
      });
      text.end();
    }
    out_.append("}");
  }

  static bool is_part(std::string_view type) noexcept { return is_text(type, "image") || is_text(type, "document"); }
  static bool has_parts(std::string_view content) {
    bool found = false;
    each_element(content, [&](std::string_view object) { found = found || is_part(read_block(object).type); });
    return found;
  }

  void write_result(const Block& result) {
    append_comma(out_);
    out_.append(R"({"role":"tool","tool_call_id":)");
    out_.append(wire::is_string(result.tool_use_id) ? result.tool_use_id : std::string_view("\"\""));
    out_.append(R"(,"content":)");
    JoinedText text(out_);
    // A chat has no mark for it.
    const auto add = [&](std::string_view inside) {
      const bool told = inside.starts_with("Error") || inside.starts_with("<tool_use_error>");
      if (text.empty() && result.is_error == "true" && !told) {
        text.add("Error:");
        return text.add(inside, " ");
      }
      text.add(inside);
    };
    if (wire::is_string(result.content)) add(wire::unquoted(result.content));
    each_element(result.content, [&](std::string_view object) {
      const Block block = read_block(object);
      if (is_text(block.type, "text")) {
        add(inside_of(block.text));
      } else if (!is_part(block.type)) {
        add_text(text, block);
      }
    });
    if (has_parts(result.content)) add("What this tool returned is at the beginning of the next message.");
    if (text.empty() && result.is_error == "true") text.add("Error");
    text.end();
    out_.append("}");
  }

  void write_parts(std::string_view blocks) {
    out_.append("[");
    each_element(blocks, [this](std::string_view object) {
      const Block block = read_block(object);
      if (!is_text(block.type, "tool_result")) return;
      each_element(block.content, [this](std::string_view inner) {
        const Block part = read_block(inner);
        if (is_part(part.type)) write_part(part);
      });
    });
    each_element(blocks, [this](std::string_view object) {
      const Block block = read_block(object);
      if (!is_text(block.type, "tool_result")) write_part(block);
    });
    out_.append("]");
  }

  void write_part(const Block& block) {
    if (is_text(block.type, "image")) return write_image(read_source(block.source));
    if (is_text(block.type, "document")) return write_document(block, read_source(block.source));
    append_comma(out_);
    const std::size_t begin = out_.size();
    out_.append(R"({"type":"text","text":)");
    JoinedText text(out_);
    add_text(text, block);
    text.end();
    out_.append("}");
    if (text.empty()) drop(begin);
  }

  void append_data_url(const Source& source) {
    out_.append("\"data:");
    out_.append(inside_of(source.media_type));
    out_.append(";base64,");
    out_.append(inside_of(source.data));
    out_.append("\"");
  }

  void write_image(const Source& source) {
    append_comma(out_);
    out_.append(R"({"type":"image_url","image_url":{"url":)");
    if (is_text(source.type, "base64")) {
      append_data_url(source);
    } else if (is_text(source.type, "url") && wire::is_string(source.url)) {
      out_.append(source.url);
    } else {
      fail(kImage);
    }
    out_.append("}}");
  }

  void write_document(const Block& block, const Source& source) {
    if (is_text(source.type, "base64")) {
      append_comma(out_);
      out_.append(R"({"type":"file","file":{"filename":)");
      out_.append(wire::is_string(block.title) ? block.title : std::string_view("\"document.pdf\""));
      append_named(out_, "file_data");
      append_data_url(source);
      out_.append("}}");
    } else if (is_text(source.type, "text") || is_text(source.type, "content")) {
      append_comma(out_);
      out_.append(R"({"type":"text","text":)");
      JoinedText text(out_);
      text.add(inside_of(block.title));
      text.add(inside_of(source.data));
      text.add(inside_of(source.content));
      each_element(source.content, [&](std::string_view object) { text.add(inside_of(read_block(object).text)); });
      text.end();
      out_.append("}");
      each_element(source.content, [this](std::string_view object) {
        const Block inner = read_block(object);
        if (is_text(inner.type, "image")) write_image(read_source(inner.source));
      });
    } else {
      fail(kDocument);
    }
  }

  // What a block says that is no part of its own.
  void add_text(JoinedText& text, const Block& block) {
    if (is_text(block.type, "text")) return text.add(inside_of(block.text));
    if (!is_text(block.type, "search_result")) return fail(kBlock);
    text.add(inside_of(block.title));
    text.add(inside_of(block.source));
    each_element(block.content, [&](std::string_view object) { text.add(inside_of(read_block(object).text)); });
  }

  void write_assistant(std::string_view content) {
    append_comma(out_);
    append_role("assistant");
    if (wire::is_string(content)) {
      out_.append(content);
      out_.append("}");
      return;
    }
    JoinedText text(out_);
    bool calls = false;
    bool apart = false;  // something stood between the last text and this
    std::string_view member;
    each_element(content, [&](std::string_view object) {
      const Block block = read_block(object);
      if (is_text(block.type, "text")) {
        // A text with citations comes in pieces of one sentence.
        text.add(inside_of(block.text), apart ? "\\n\\n" : "");
        apart = false;
        return;
      }
      apart = true;
      if (is_text(block.type, "tool_use")) {
        calls = true;
      } else if (is_text(block.type, "thinking")) {
        if (member.empty()) member = thinking_member(inside_of(block.signature));
      } else if (!is_of_server(block.type)) {
        fail(kBlock);
      }
    });
    text.end();
    if (!member.empty()) write_thinking(content, member);
    if (calls) write_calls(content);
    out_.append("}");
  }

  void write_thinking(std::string_view content, std::string_view member) {
    append_named(out_, member);
    JoinedText text(out_);
    each_element(content, [&](std::string_view object) {
      const Block block = read_block(object);
      if (is_text(block.type, "thinking") && thinking_member(inside_of(block.signature)) == member)
        text.add(inside_of(block.thinking));
    });
    text.end();
  }

  void write_calls(std::string_view content) {
    append_named(out_, "tool_calls", "[");
    each_element(content, [this](std::string_view object) {
      const Block block = read_block(object);
      if (!is_text(block.type, "tool_use")) return;
      append_comma(out_);
      out_.append(R"({"id":)");
      out_.append(wire::is_string(block.id) ? block.id : std::string_view("\"\""));
      out_.append(R"(,"type":"function","function":{"name":)");
      out_.append(wire::is_string(block.name) ? block.name : std::string_view("\"\""));
      out_.append(R"(,"arguments":)");
      WipedString arguments;
      wire::append_json_string(arguments, is_object(block.input) ? block.input : std::string_view("{}"));
      out_.append(arguments);
      out_.append("}}");
    });
    out_.append("]");
  }

  // --- tools ---

  void write_tools(std::string_view tools) {
    append_named(out_, "tools", "[");
    each_element(tools, [this](std::string_view tool) {
      append_comma(out_);
      out_.append(R"({"type":"function","function":{)");
      each_member(tool, [this](std::string_view name, std::string_view value) {
        if (name == "type" && is_said(value) && !is_text(value, "custom")) fail(kToolOfAnthropic);
        if (name == "name" || (name == "description" && is_said(value))) append_named(out_, name, value);
        if (name == "input_schema") append_named(out_, "parameters", value);
        if (name == "strict" && value == "true") append_named(out_, name, value);
      });
      out_.append("}}");
    });
    out_.append("]");
  }

  void write_choice(std::string_view choice) {
    std::string_view type, name, alone;
    each_member(choice, [&](std::string_view member, std::string_view value) {
      if (member == "type") type = value;
      if (member == "name") name = value;
      if (member == "disable_parallel_tool_use") alone = value;
    });
    if (is_text(type, "auto")) append_named(out_, "tool_choice", "\"auto\"");
    if (is_text(type, "any")) append_named(out_, "tool_choice", "\"required\"");
    if (is_text(type, "none")) append_named(out_, "tool_choice", "\"none\"");
    if (is_text(type, "tool")) {
      append_named(out_, "tool_choice", R"({"type":"function","function":{"name":)");
      out_.append(wire::is_string(name) ? name : std::string_view("\"\""));
      out_.append("}}");
    }
    if (alone == "true") append_named(out_, "parallel_tool_calls", "false");
  }

  // Structured output.
  void write_format(std::string_view format) {
    const std::string_view schema = wire::skim_find(format, "schema");
    if (!is_object(schema)) return;
    append_named(out_, "response_format",
                 R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":)");
    out_.append(schema);
    out_.append("}}");
  }

  Buffer& out_;
  Status status_ = ok();
};

}  // namespace

std::string_view thinking_member(std::string_view signature) noexcept {
  if (!signature.starts_with(kSignatureMark)) return {};
  const std::string_view member = signature.substr(kSignatureMark.size());
  return member == "reasoning" || member == "reasoning_content" ? member : std::string_view();
}

Status append_chat_call(Buffer& out, std::string_view body) noexcept {
  const std::size_t brace = body.find('{');
  return ChatCall(out).write(brace == std::string_view::npos ? body : body.substr(brace));
}

}  // namespace sluice::translate
