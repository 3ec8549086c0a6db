#include "openai/text_walk.h"

#include <algorithm>

namespace sluice::openai {
namespace {

constexpr unsigned kDeepest = 128;  // nesting that a model server's own parser is sure to take
constexpr const char* kTooDeep = "The request body nests too deeply; the bound is 128 levels.";

// Whether a string's token carries bytes in base64 rather than text.
bool is_base64_url(std::string_view token) noexcept {
  constexpr std::size_t kLongestMediaType = 160;
  return token.starts_with("\"data:") && token.substr(0, kLongestMediaType).find(";base64,") != std::string_view::npos;
}

// Members of a message whose strings are not text that a model reads.
bool is_text_member(std::string_view name) noexcept {
  constexpr std::string_view kOthers[] = {"role",      "type",     "id",           "data",
                                          "file_data", "b64_json", "tool_call_id", "call_id"};
  return std::find(std::begin(kOthers), std::end(kOthers), name) == std::end(kOthers);
}

// As it stands in the text: an escaped spelling only changes the estimate.
std::string_view name_of(ondemand::field& field) noexcept {
  const char* begin = field.key().raw();
  constexpr std::size_t kLongest = 16;
  std::size_t length = 0;
  while (length < kLongest && begin[length] != '"') ++length;
  return {begin, length};
}

}  // namespace

Result<ondemand::json_type> type_of(ondemand::value& value) noexcept {
  ondemand::json_type type{};
  if (value.type().get(type)) return bad(kNotJson);
  return type;
}

Result<bool> is_null(ondemand::value& value) noexcept {
  const Result<ondemand::json_type> type = type_of(value);
  if (!type) return type.error();
  if (*type != ondemand::json_type::null) return false;
  bool null = false;
  if (value.is_null().get(null) || !null) return bad(kNotJson);
  return true;
}

// Recursion is bounded by kDeepest.
Status TextWalk::walk(ondemand::value& value, unsigned depth, Count count, Spot spot) {
  const Result<ondemand::json_type> type = type_of(value);
  if (!type) return type.error();
  switch (*type) {
    case ondemand::json_type::array:
      return walk_array(value, depth, count, spot);
    case ondemand::json_type::object:
      return walk_object(value, depth, count, spot);
    default:
      return walk_scalar(value, *type, count);
  }
}

Status TextWalk::walk_array(ondemand::value& value, unsigned depth, Count count, Spot spot) {
  if (depth > kDeepest) return bad(kTooDeep);
  ondemand::array array;
  if (value.get_array().get(array)) return bad(kNotJson);
  for (auto step : array) {
    if (step.error()) return bad(kNotJson);
    ondemand::value element = step.value_unsafe();
    SLUICE_TRY(walk(element, depth + 1, count, spot));
  }
  return ok();
}

Status TextWalk::walk_object(ondemand::value& value, unsigned depth, Count count, Spot spot) {
  if (depth > kDeepest) return bad(kTooDeep);
  ondemand::object object;
  if (value.get_object().get(object)) return bad(kNotJson);
  ItemSeen item;
  for (auto step : object) {
    ondemand::field field;
    if (std::move(step).get(field)) return bad(kNotJson);
    const bool text = count != Count::kNothing && is_text_member(name_of(field));
    StateFound found;
    if (spot != Spot::kNowhere) {
      const char* const raw = field.key().raw();
      found = look_at(spot, raw);
      if (found.row != nullptr && refers(field.value().raw_json_token())) return bad(found.row->refusal);
      if (spot == Spot::kItems) item.note(raw, field.value().raw_json_token());
    }
    SLUICE_TRY(walk(field.value(), depth + 1, text ? count : Count::kNothing, found.inside));
  }
  const char* const refusal = item.refusal();
  return refusal == nullptr ? ok() : Status(bad(refusal));
}

Status TextWalk::walk_scalar(ondemand::value& value, ondemand::json_type type, Count count) {
  const std::string_view token = token_of(value);
  last_token_end_ = token.data() + token.size();
  switch (type) {
    case ondemand::json_type::string:
      if (count != Count::kNothing && !is_base64_url(token))
        bytes_ += token.size() - std::min<std::size_t>(2, token.size());
      return ok();
    case ondemand::json_type::number:
      if (count == Count::kTokens) bytes_ += 4;
      return ok();
    case ondemand::json_type::boolean: {
      bool flag = false;
      if (value.get_bool().get(flag)) return bad(kNotJson);
      return ok();
    }
    default: {
      const Result<bool> null = is_null(value);
      if (!null) return null.error();
      return ok();
    }
  }
}

Status TextWalk::walk_whole(ondemand::value& value, unsigned depth, Spot spot) {
  const char* begin = value.raw_json_token().data();
  last_token_end_ = begin;
  SLUICE_TRY(walk(value, depth, Count::kNothing, spot));
  bytes_ += static_cast<std::size_t>(last_token_end_ - begin);
  return ok();
}

}  // namespace sluice::openai
