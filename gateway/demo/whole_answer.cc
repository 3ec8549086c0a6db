// Answers in one piece.

#include <bit>
#include <cstring>

#include "demo/answer_form.h"
#include "demo/words.h"

namespace sluice::demo {

std::string whole_response(const Plan& plan);  // answer_form.cc

namespace {

std::string head(const Plan& plan, std::string_view prefix, std::string_view object) {
  std::string text = "{\"id\":\"" + std::string(prefix) + plan.id + "\",\"object\":\"" + std::string(object) +
                     "\",\"created\":" + std::to_string(plan.created) + ",\"model\":\"";
  append_escaped(text, plan.ask.model);
  text += "\"";
  if (plan.faults.has(Fault::kErrorNull)) text += ",\"error\":null";
  return text;
}

std::string tail(const Plan& plan) {
  if (plan.faults.has(Fault::kNoUsage)) return "}";
  return ",\"usage\":" + usage_object(plan, plan.completion_tokens()) + "}";
}

std::string chat_message(const Plan& plan, std::uint64_t choice) {
  const std::string text = choice_text(plan, choice);
  if (plan.ask.tool.empty()) return "{\"role\":\"assistant\",\"content\":\"" + text + "\",\"refusal\":null}";
  std::string name;
  append_escaped(name, plan.ask.tool);
  return "{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":[{\"id\":\"call_" + plan.id +
         "\",\"type\":\"function\",\"function\":{\"name\":\"" + name + "\",\"arguments\":\"" + text + "\"}}]}";
}

std::string choices(const Plan& plan) {
  const bool chat = plan.ask.kind == Kind::kChat;
  const std::string_view reason = plan.hit_cap ? "length" : chat && !plan.ask.tool.empty() ? "tool_calls" : "stop";
  std::string text = ",\"choices\":[";
  for (std::uint64_t choice = 0; choice < plan.ask.choices; ++choice) {
    if (choice != 0) text += ',';
    text += "{\"index\":" + std::to_string(choice);
    text += chat ? ",\"message\":" + chat_message(plan, choice) : ",\"text\":\"" + choice_text(plan, choice) + "\"";
    text.append(",\"logprobs\":null,\"finish_reason\":\"").append(reason).append("\"}");
  }
  return text + "]";
}

// Numbers between -1 and 1 that the input's place and the prompt decide.
float coordinate(const Plan& plan, std::uint64_t input, std::uint64_t dimension) noexcept {
  const std::uint64_t bits = spread(choice_seed(plan.ask.seed, input) + dimension);
  return static_cast<float>(static_cast<double>(bits >> 40) / static_cast<double>(1U << 23) - 1.0);
}

std::string embedding(const Plan& plan, std::uint64_t input) {
  std::string text;
  for (std::uint64_t i = 0; i < plan.ask.dimensions; ++i) {
    const float value = coordinate(plan, input, i);
    if (plan.ask.base64) {
      static_assert(std::endian::native == std::endian::little);
      char bytes[sizeof value];
      std::memcpy(bytes, &value, sizeof value);
      text.append(bytes, sizeof value);
    } else {
      text += (i == 0 ? "" : ",") + std::to_string(value);
    }
  }
  return plan.ask.base64 ? "\"" + base64(text) + "\"" : "[" + text + "]";
}

std::string embeddings(const Plan& plan) {
  std::string text = "{\"object\":\"list\",\"data\":[";
  for (std::uint64_t input = 0; input < plan.ask.inputs; ++input) {
    text += (input == 0 ? "" : ",") + std::string("{\"object\":\"embedding\",\"index\":") + std::to_string(input) +
            ",\"embedding\":" + embedding(plan, input) + "}";
  }
  text += "],\"model\":\"";
  append_escaped(text, plan.ask.model);
  return text + "\"" + tail(plan);
}

}  // namespace

std::string_view choice_token(const Plan& plan, std::uint64_t choice, std::uint64_t index) noexcept {
  if (!plan.said.empty()) return plan.said[index];
  return word(choice_seed(plan.ask.seed, choice), index);
}

std::vector<std::string> tokens_of(std::string_view json) {
  constexpr std::size_t kTokenBytes = 4;
  std::vector<std::string> tokens;
  while (!json.empty()) {
    std::size_t size = std::min(kTokenBytes, json.size());
    while (size < json.size() && (static_cast<unsigned char>(json[size]) & 0xC0) == 0x80) ++size;  // whole characters
    append_escaped(tokens.emplace_back(), json.substr(0, size));
    json.remove_prefix(size);
  }
  return tokens;
}

std::string choice_text(const Plan& plan, std::uint64_t choice) {
  std::string text;
  for (std::uint64_t i = 0; i < plan.tokens; ++i) text += choice_token(plan, choice, i);
  return text;
}

std::string usage_object(const Plan& plan, std::uint64_t generated) {
  const bool response = plan.ask.kind == Kind::kResponse;
  const bool zero = plan.faults.has(Fault::kZeroUsage);
  const std::uint64_t prompt = zero ? 0 : plan.ask.prompt_tokens;
  if (zero) generated = 0;
  const std::string total = ",\"total_tokens\":" + std::to_string(prompt + generated) + "}";
  if (plan.ask.kind == Kind::kEmbedding)
    return "{\"prompt_tokens\":" + std::to_string(prompt) + ",\"total_tokens\":" + std::to_string(prompt) + "}";
  if (response)
    return "{\"input_tokens\":" + std::to_string(prompt) +
           ",\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":" + std::to_string(generated) +
           ",\"output_tokens_details\":{\"reasoning_tokens\":0}" + total;
  return "{\"prompt_tokens\":" + std::to_string(prompt) + ",\"completion_tokens\":" + std::to_string(generated) + total;
}

std::string whole_answer(const Plan& plan) {
  switch (plan.ask.kind) {
    case Kind::kChat:
      return head(plan, "chatcmpl-", "chat.completion") + choices(plan) + tail(plan);
    case Kind::kCompletion:
      return head(plan, "cmpl-", "text_completion") + choices(plan) + tail(plan);
    case Kind::kEmbedding:
      return embeddings(plan);
    case Kind::kResponse:
      break;
  }
  return whole_response(plan);
}

}  // namespace sluice::demo
