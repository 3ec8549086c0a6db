#include "openai/refused_member.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "openai/call_reader.h"
#include "openai/error_object.h"

namespace sluice::openai {
namespace {

constexpr std::size_t kPlainBytes = 4096;  // so much of an error that is no JSON is looked at

// Every member that may be ours, as errors name it.
struct NameOf {
  std::string_view name;
  AddedMember member;
};
constexpr std::array<NameOf, 5> kAddedNames{{{"stream_options", AddedMember::kUsageInStream},
                                             {"include_usage", AddedMember::kUsageInStream},
                                             {kMaxTokens, AddedMember::kMaxTokens},
                                             {kMaxCompletionTokens, AddedMember::kMaxCompletionTokens},
                                             {"max_output_tokens", AddedMember::kMaxOutputTokens}}};

// In lower case. Words of OpenAI, Azure, Mistral, pydantic (FastAPI, vLLM), Python, Go, serde, zod, ajv, class-validator
// and protobuf.
constexpr std::string_view kUnknown[] = {
    "unknown",           "unrecogni",       "not recogni",
    "unsupported",       "not supported",   "n't support",
    "not support",       "unexpected",      "not expected",
    "extra inputs",      "extra field",     "extra_forbidden",
    "value_error.extra", "not permitted",   "not allowed",
    "n't allowed",       "additional prop", "additionalprop",
    "should not exist",  "must not exist",  "cannot find field",
    "no such",           "not implemented", "not a valid param",
    "not a valid field", "not a valid arg", "invalid argument name",
    "not accept",        "n't accept",      "not available",
    "disallowed",
};
constexpr std::string_view kMindsTheValue[] = {
    "too large",     "too big",        "too high",    "too small", "too low", "too long",          "too many",
    "less than",     "greater than",   "larger than", "smaller",   "at most", "at least",          "exceed",
    "out of range",  "between",        "maximum",     "minimum",   "limit",   "unsupported_value", "unsupported value",
    "invalid_value", "context length",
};
// What follows these lists what the server does know.
constexpr std::string_view kListsTheKnown[] = {"expected one of", "supported param", "valid param", "allowed param",
                                               "permitted param"};

// Wiped, because a server may quote the prompt.
WipedString folded(std::string_view text) {
  WipedString lower(text);
  std::ranges::transform(lower, lower.begin(), lower_case);
  return lower;
}

bool has_any(std::string_view text, std::span<const std::string_view> words) noexcept {
  return std::ranges::any_of(words,
                             [text](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

bool is_name_part(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

// Where `name` stands as a whole name, or npos.
std::size_t find_name(std::string_view text, std::string_view name) noexcept {
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if ((at == 0 || !is_name_part(text[at - 1])) && (end == text.size() || !is_name_part(text[end]))) return at;
  }
  return std::string_view::npos;
}

// Whether `member` is the first of ours that the text names.
bool names_first(std::string_view text, AddedMember member) noexcept {
  const NameOf* first = nullptr;
  std::size_t first_at = std::string_view::npos;
  for (const NameOf& row : kAddedNames) {
    const std::size_t at = find_name(text, row.name);
    if (at >= first_at) continue;
    first_at = at;
    first = &row;
  }
  return first != nullptr && first->member == member;
}

std::string_view without_the_known(std::string_view text) noexcept {
  for (const std::string_view words : kListsTheKnown) {
    const std::size_t at = text.find(words);
    if (at == std::string_view::npos) continue;
    const std::string_view before = text.substr(0, at);
    const bool negated = before.ends_with("un") || before.ends_with("in") || before.ends_with("not a ");
    if (!negated) text = before;
  }
  return text;
}

}  // namespace

AddedMember added_cap(std::string_view name) noexcept {
  const auto row = std::ranges::find(kAddedNames, name, &NameOf::name);
  return row == kAddedNames.end() ? AddedMember::kMaxTokens : row->member;
}

bool refuses_member(std::string_view body, AddedMember member) {
  const UpstreamError error = read_error(body);
  const bool plain = error.message.empty() && error.code.empty();
  const WipedString text = folded(plain ? body.substr(0, kPlainBytes) : std::string_view(error.message));
  const WipedString sort = folded(error.code) + ' ' + folded(error.type);
  if (!has_any(text, kUnknown) && !has_any(sort, kUnknown)) return false;
  if (member != AddedMember::kUsageInStream && (has_any(text, kMindsTheValue) || has_any(sort, kMindsTheValue)))
    return false;
  const WipedString param = folded(error.param);
  const bool named = !param.empty() && param != "none" && param != "null" && param != "body";
  return names_first(named ? std::string_view(param) : without_the_known(text), member);
}

}  // namespace sluice::openai
