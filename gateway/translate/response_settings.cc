#include "translate/response_settings.h"

#include <algorithm>
#include <array>

#include "translate/json_steps.h"
#include "translate/json_write.h"

namespace sluice::translate {
namespace {

struct Setting {
  std::string_view name;
  std::string_view unsaid;  // its value where the call names none; empty: then the answer has it not
};
// What is always the same over a chat (store, previous_response_id, service_tier) is not asked for.
constexpr std::array<Setting, 17> kSettings = {{{"instructions", "null"},
                                                {"max_output_tokens", "null"},
                                                {"max_tool_calls", ""},
                                                {"metadata", "{}"},
                                                {"parallel_tool_calls", "true"},
                                                {"prompt_cache_key", ""},
                                                {"prompt_cache_retention", ""},
                                                {"reasoning", R"({"effort":null,"summary":null})"},
                                                {"safety_identifier", ""},
                                                {"temperature", "null"},
                                                {"text", R"({"format":{"type":"text"}})"},
                                                {"tool_choice", R"("auto")"},
                                                {"tools", "[]"},
                                                {"top_logprobs", ""},
                                                {"top_p", "null"},
                                                {"truncation", R"("disabled")"},
                                                {"user", "null"}}};
constexpr std::string_view kAlways = R"(,"previous_response_id":null,"service_tier":"default","store":false)";

using Values = std::array<std::string_view, kSettings.size()>;

Values values_in(std::string_view body) {
  Values values;
  each_member(body, [&](std::string_view name, std::string_view value) {
    const auto* const row = std::ranges::find(kSettings, name, &Setting::name);
    if (row != kSettings.end() && is_said(value)) values[static_cast<std::size_t>(row - kSettings.begin())] = value;
  });
  return values;
}

// Takes out the longest until what is left is short enough.
void bound(Values& values) {
  std::size_t size = 0;
  for (const std::string_view value : values) size += value.size();
  while (size > kMostSettingsBytes) {
    std::string_view& longest = *std::ranges::max_element(values, {}, &std::string_view::size);
    size -= longest.size();
    longest = {};
  }
}

// A line's end would end an event's data. In JSON one stands between tokens alone.
void append_on_one_line(Buffer& out, std::string_view value) {
  const std::size_t begin = out.size();
  out.append(value);
  std::ranges::replace_if(
      out.data() + begin, out.data() + out.size(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
}

}  // namespace

void append_response_settings(Buffer& out, std::string_view body) {
  Values values = values_in(body.substr(std::min(body.find('{'), body.size())));
  bound(values);
  for (std::size_t i = 0; i < kSettings.size(); ++i) {
    const std::string_view value = values[i].empty() ? kSettings[i].unsaid : values[i];
    if (value.empty()) continue;
    out.append(",\"");
    out.append(kSettings[i].name);
    out.append("\":");
    append_on_one_line(out, value);
  }
  out.append(kAlways);
}

}  // namespace sluice::translate
