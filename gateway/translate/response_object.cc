#include "translate/response_object.h"

#include <algorithm>

#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "translate/response_settings.h"

namespace sluice::translate {
namespace {

std::string_view response_word(ResponseStatus status) noexcept {
  switch (status) {
    case ResponseStatus::kInProgress:
      return "\"in_progress\"";
    case ResponseStatus::kCompleted:
      return "\"completed\"";
    case ResponseStatus::kFailed:
      return "\"failed\"";
    case ResponseStatus::kMaxOutputTokens:
    case ResponseStatus::kContentFilter:
      break;
  }
  return "\"incomplete\"";
}

std::string_view incomplete_details(ResponseStatus status) noexcept {
  if (status == ResponseStatus::kMaxOutputTokens) return R"({"reason":"max_output_tokens"})";
  return status == ResponseStatus::kContentFilter ? R"({"reason":"content_filter"})" : "null";
}

void append_response_usage(Buffer& out, const Usage& usage) {
  out.append(R"({"input_tokens":)");
  append_number(out, usage.prompt_tokens);
  out.append(R"(,"input_tokens_details":{"cached_tokens":)");
  append_number(out, usage.cached_tokens);
  out.append(R"(,"cache_write_tokens":)");
  append_number(out, usage.cache_write_tokens);
  out.append(R"(},"output_tokens":)");
  append_number(out, usage.completion_tokens);
  out.append(R"(,"output_tokens_details":{"reasoning_tokens":)");
  append_number(out, usage.reasoning_tokens);
  out.append(R"(},"total_tokens":)");
  append_number(out, usage.total());
  out.append("}");
}

bool is_whole_number(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

ResponseStatus response_status_of(std::string_view finish_reason) noexcept {
  if (finish_reason == "length" || finish_reason == "model_length") return ResponseStatus::kMaxOutputTokens;
  return finish_reason == "content_filter" ? ResponseStatus::kContentFilter : ResponseStatus::kCompleted;
}

Usage own_usage(std::span<const OutputItem> output, const dialect::AnswerFacts& facts) noexcept {
  std::size_t bytes = 0;
  for (const OutputItem& item : output) bytes += item.text.size() + item.refusal.size();
  return {
      .source = UsageSource::kEstimated, .prompt_tokens = facts.prompt_estimate, .completion_tokens = (bytes + 3) / 4};
}

void append_response(Buffer& out, const ResponseObject& response, const dialect::AnswerFacts& facts) {
  out.append(R"({"id":"resp_)");
  out.append(facts.unique);
  out.append(R"(","object":"response","created_at":)");
  out.append(is_whole_number(response.created) ? response.created : std::string_view("0"));
  append_named(out, "status", response_word(response.status));
  out.append(R"(,"background":false)");
  append_named(out, "error", response.error.empty() ? std::string_view("null") : response.error);
  append_named(out, "incomplete_details", incomplete_details(response.status));
  append_named(out, "model");
  append_string(out, facts.model);
  append_named(out, "output", "[");
  for (std::size_t at = 0; at < response.output.size(); ++at) {
    append_comma(out);
    const bool last = at + 1 == response.output.size();
    append_item(out, response.output[at], at, facts, last ? last_item_status(response.status) : ItemStatus::kCompleted);
  }
  out.append("]");
  if (facts.settings.empty()) append_response_settings(out, {});
  out.append(facts.settings);
  append_named(out, "usage", response.usage ? "" : "null");
  if (response.usage) append_response_usage(out, *response.usage);
  out.append("}");
}

}  // namespace sluice::translate
