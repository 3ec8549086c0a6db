#include "demo/ask.h"

#include <xxhash.h>

#include <algorithm>

#include "base/text.h"
#include "demo/json_form.h"
#include "demo/words.h"

namespace sluice::demo {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

bool flag(const object& from, const char* name) noexcept {
  bool value = false;
  return from[name].get(value) == simdjson::SUCCESS && value;
}

std::optional<std::uint64_t> number(const object& from, const char* name) noexcept {
  double value = 0;
  if (from[name].get(value) != simdjson::SUCCESS || value < 1) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

void read_caps(const object& body, Ask& ask) noexcept {
  for (const char* name : {"max_completion_tokens", "max_tokens", "max_output_tokens"}) {
    if (const auto cap = number(body, name)) ask.cap = std::min(ask.cap.value_or(*cap), *cap);
  }
}

// One prompt or many: a string, an array of strings, of tokens, or of arrays of tokens.
std::uint64_t count_inputs(const element& input) noexcept {
  array list;
  if (input.get(list) != simdjson::SUCCESS || list.size() == 0) return 1;
  const bool tokens = list.at(0).is_number();
  return tokens ? 1 : list.size();
}

// Chat nests what a function is; Responses does not.
element function_of(const element& tool) noexcept {
  element function;
  return tool["function"].get(function) == simdjson::SUCCESS ? function : tool;
}

std::string_view text_of(simdjson::simdjson_result<element> value) noexcept {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? text : std::string_view();
}

// The last thing that was said: a question of the user, or the result of a tool, which asks for no further call.
std::string last_question(const element& prompt) {
  array items;
  std::string_view plain;
  if (prompt.get(plain) == simdjson::SUCCESS) return std::string(plain);
  if (prompt.get(items) != simdjson::SUCCESS || items.size() == 0) return {};
  element content;
  const auto last = items.at(items.size() - 1);
  if (text_of(last["role"]) != "user" || last["content"].get(content) != simdjson::SUCCESS) return {};
  return simdjson::minify(content);
}

// Whether the question names the function ("look_up" or "look up"), or speaks of tools at all.
bool asks_for(std::string question, std::string_view name) {
  std::string spaced(name);
  for (std::string* text : {&question, &spaced}) {
    for (char& c : *text) c = c == '_' || c == '-' ? ' ' : lower_case(c);
  }
  return (!spaced.empty() && question.find(spaced) != std::string::npos) || question.find(" tool") != std::string::npos;
}

// Which function is called: the one that tool_choice names; the first, where one must be called; else the one that the
// question asks for.
void read_tool(const object& body, const element& prompt, Ask& ask) {
  array tools;
  if (body["tools"].get(tools) != simdjson::SUCCESS) return;
  element choice;
  std::string_view word = "auto", named;
  if (body["tool_choice"].get(choice) == simdjson::SUCCESS && choice.get(word) != simdjson::SUCCESS) {
    word = "required";
    if (choice.is_object()) named = text_of(function_of(choice)["name"]);
  }
  if (word == "none") return;
  const std::string question = last_question(prompt);
  for (const element& tool : tools) {
    const element function = function_of(tool);
    const std::string_view name = text_of(function["name"]);
    const bool wanted = !named.empty() ? name == named : word == "required" || asks_for(question, name);
    if (name.empty() || !wanted) continue;
    element parameters;
    ask.tool = name;
    ask.said = function["parameters"].get(parameters) == simdjson::SUCCESS ? json_for(parameters, ask.seed) : "{}";
    return;
  }
}

// response_format of chat, text.format of Responses.
void read_format(const object& body, Ask& ask) {
  object format;
  if (body["response_format"].get(format) != simdjson::SUCCESS &&
      body["text"]["format"].get(format) != simdjson::SUCCESS)
    return;
  element schema;
  const std::string_view type = text_of(format["type"]);
  if (type == "json_object") ask.said = "{\"answer\":\"" + words(ask.seed, 5) + "\"}";
  if (type != "json_schema") return;
  if (format["json_schema"]["schema"].get(schema) == simdjson::SUCCESS ||
      format["schema"].get(schema) == simdjson::SUCCESS)
    ask.said = json_for(schema, ask.seed);
}

const char* prompt_member(Kind kind) noexcept {
  switch (kind) {
    case Kind::kChat:
      return "messages";
    case Kind::kCompletion:
      return "prompt";
    default:
      return "input";
  }
}

}  // namespace

std::optional<Ask> read_ask(simdjson::dom::parser& parser, Kind kind, std::string_view body, const char*& wrong) {
  object root;
  element prompt;
  std::string_view model;
  wrong = "the body is not a JSON object";
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) return std::nullopt;
  wrong = "'model' must be a string";
  if (root["model"].get(model) != simdjson::SUCCESS) return std::nullopt;
  wrong = "'messages', 'prompt' or 'input' is missing";
  if (root[prompt_member(kind)].get(prompt) != simdjson::SUCCESS) return std::nullopt;
  Ask ask;
  ask.kind = kind;
  ask.model = model;
  ask.stream = flag(root, "stream");
  object options;
  if (root["stream_options"].get(options) == simdjson::SUCCESS) ask.include_usage = flag(options, "include_usage");
  ask.choices = number(root, "n").value_or(1);
  if (kind == Kind::kCompletion) ask.choices *= count_inputs(prompt);
  if (kind == Kind::kEmbedding) ask.inputs = count_inputs(prompt);
  ask.dimensions = std::min<std::uint64_t>(number(root, "dimensions").value_or(16), 65536);
  std::string_view format;
  ask.base64 = root["encoding_format"].get(format) == simdjson::SUCCESS && format == "base64";
  read_caps(root, ask);
  const std::string text = simdjson::minify(prompt);
  ask.prompt_tokens = (text.size() + 3) / 4;
  ask.seed = XXH3_64bits(text.data(), text.size());
  if (kind == Kind::kChat || kind == Kind::kResponse) {
    read_tool(root, prompt, ask);
    if (ask.tool.empty()) read_format(root, ask);
  }
  return ask;
}

}  // namespace sluice::demo
