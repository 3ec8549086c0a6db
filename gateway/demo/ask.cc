#include "demo/ask.h"

#include <xxhash.h>

#include <algorithm>

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

// The first function of `tools`, if the request insists on a call of one.
void read_tool(const object& body, Ask& ask) {
  element choice;
  std::string_view word;
  if (body["tool_choice"].get(choice) != simdjson::SUCCESS) return;
  if (!choice.is_object() && (choice.get(word) != simdjson::SUCCESS || word != "required")) return;
  std::string_view name;
  const auto tool = body["tools"].at(0);
  if (tool["function"]["name"].get(name) == simdjson::SUCCESS || tool["name"].get(name) == simdjson::SUCCESS)
    ask.tool = name;
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
  read_tool(root, ask);
  const std::string text = simdjson::minify(prompt);
  ask.prompt_tokens = (text.size() + 3) / 4;
  ask.seed = XXH3_64bits(text.data(), text.size());
  return ask;
}

}  // namespace sluice::demo
