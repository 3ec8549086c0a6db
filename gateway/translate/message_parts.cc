#include "translate/message_parts.h"

#include <algorithm>
#include <charconv>

#include "base/wiped_string.h"
#include "wire/json_text.h"

namespace sluice::translate {

void append_number(Buffer& out, std::uint64_t number) {
  char digits[20];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append({digits, static_cast<std::size_t>(written.ptr - digits)});
}

void append_string(Buffer& out, std::string_view text) {
  WipedString escaped;
  wire::append_json_string(escaped, text);
  out.append(escaped);
}

void append_message_head(Buffer& out, const dialect::AnswerFacts& facts) {
  out.append(R"({"id":"msg_)");
  out.append(facts.unique);
  out.append(R"(","type":"message","role":"assistant","model":)");
  append_string(out, facts.model);
}

void append_usage(Buffer& out, const Usage& usage) {
  const std::uint64_t read = std::min(usage.cached_tokens, usage.prompt_tokens);
  const std::uint64_t written = std::min(usage.cache_write_tokens, usage.prompt_tokens - read);
  out.append(R"({"input_tokens":)");
  append_number(out, usage.prompt_tokens - read - written);
  out.append(R"(,"cache_creation_input_tokens":)");
  append_number(out, written);
  out.append(R"(,"cache_read_input_tokens":)");
  append_number(out, read);
  out.append(R"(,"output_tokens":)");
  append_number(out, usage.completion_tokens);
  out.append("}");
}

void append_call_id(Buffer& out, const dialect::AnswerFacts& facts, std::uint64_t position) {
  out.append("\"toolu_");
  out.append(facts.unique);
  out.append("_");
  append_number(out, position);
  out.append("\"");
}

bool is_white(std::string_view inside) noexcept {
  for (std::size_t at = 0; at < inside.size(); ++at) {
    if (inside[at] == ' ') continue;
    if (inside[at] != '\\' || at + 1 == inside.size()) return false;
    const char escaped = inside[++at];
    if (escaped != 'n' && escaped != 'r' && escaped != 't') return false;
  }
  return true;
}

}  // namespace sluice::translate
