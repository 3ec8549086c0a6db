// Walks the values of a request that are not read: their structure must be right, their depth bounded, and the text in
// some of them is counted. What the names of members mean, a dialect's Rules say:
//
//   struct Rules {
//     using Spot = …;                    // where in a request the walk is
//     static constexpr Spot kNowhere;    // where names mean nothing
//     // The members of a counted object whose strings are no text that a model reads, each cut behind its 16th byte.
//     static constexpr std::string_view kNoText[];
//     struct Seen;  // what is remembered of the whole walk
//     // Looks at the members of one object. Both give null, or why the request is refused (static text).
//     struct Object {
//       Object(Spot, Seen&) noexcept;
//       const char* member(ondemand::field&, Spot& inside) noexcept;  // `inside`: where its value is; starts as kNowhere
//       const char* end();
//     };
//   };
//
// Where a member stands for itself, refusal_of() is what Object::member() asks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/json_value.h"
#include "wire/raw_string.h"

namespace sluice::wire {

// What a walk over nested values counts.
enum class Count : std::uint8_t {
  kNothing,  // walked for its structure alone
  kText,     // the bytes of strings
  kTokens,   // the same, and numbers are tokens
};

// Whether a string's token carries bytes in base64 rather than text.
[[nodiscard]] bool is_base64_url(std::string_view token) noexcept;

// Whether the member `field`, at `spot`, refers to something that a request may not refer to: null, or why it is refused.
// What it may not, the look_at() beside Spot says: it finds a name's row in the dialect's table, and where its value is.
template <class Spot>
const char* refusal_of(ondemand::field& field, Spot spot, Spot& inside) noexcept {
  if (spot == Spot::kNowhere) return nullptr;
  const auto found = look_at(spot, field.key().raw());
  inside = found.inside;
  return found.row != nullptr && refers(field.value().raw_json_token()) ? found.row->refusal : nullptr;
}

// Thread:   one.
// Lifetime: of one walk over a body; the body stays.
template <class Rules>
class TextWalk final {
 public:
  using Spot = typename Rules::Spot;

  // Steps over a value, which stands `depth` levels deep, and all that is in it. `spot`: where the value is.
  Status walk(ondemand::value& value, unsigned depth, Count count, Spot spot);
  // The same, counting the whole length as it stands.
  Status walk_whole(ondemand::value& value, unsigned depth, Spot spot);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] typename Rules::Seen& seen() noexcept { return seen_; }

 private:
  static constexpr unsigned kDeepest = 128;  // nesting that a model server's own parser is sure to take
  static constexpr const char* kTooDeep = "The request body nests too deeply; the bound is 128 levels.";

  static bool is_text(ondemand::field& field) noexcept;
  Status walk_array(ondemand::value& value, unsigned depth, Count count, Spot spot);
  Status walk_object(ondemand::value& value, unsigned depth, Count count, Spot spot);
  Status walk_scalar(ondemand::value& value, ondemand::json_type type, Count count);

  typename Rules::Seen seen_;
  std::size_t bytes_ = 0;
  const char* last_token_end_ = nullptr;
};

// By its name as it stands in the text: an escaped spelling only changes the estimate.
template <class Rules>
bool TextWalk<Rules>::is_text(ondemand::field& field) noexcept {
  const char* begin = field.key().raw();
  constexpr std::size_t kLongestName = 16;
  std::size_t length = 0;
  while (length < kLongestName && begin[length] != '"') ++length;
  const std::string_view name(begin, length);
  return std::find(std::begin(Rules::kNoText), std::end(Rules::kNoText), name) == std::end(Rules::kNoText);
}

// Recursion is bounded by kDeepest.
template <class Rules>
Status TextWalk<Rules>::walk(ondemand::value& value, unsigned depth, Count count, Spot spot) {
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

template <class Rules>
Status TextWalk<Rules>::walk_array(ondemand::value& value, unsigned depth, Count count, Spot spot) {
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

template <class Rules>
Status TextWalk<Rules>::walk_object(ondemand::value& value, unsigned depth, Count count, Spot spot) {
  if (depth > kDeepest) return bad(kTooDeep);
  ondemand::object object;
  if (value.get_object().get(object)) return bad(kNotJson);
  typename Rules::Object rules(spot, seen_);
  for (auto step : object) {
    ondemand::field field;
    if (std::move(step).get(field)) return bad(kNotJson);
    const bool text = count != Count::kNothing && is_text(field);
    Spot inside = Rules::kNowhere;
    if (const char* const refusal = rules.member(field, inside); refusal != nullptr) return bad(refusal);
    SLUICE_TRY(walk(field.value(), depth + 1, text ? count : Count::kNothing, inside));
  }
  const char* const refusal = rules.end();
  return refusal == nullptr ? ok() : Status(bad(refusal));
}

template <class Rules>
Status TextWalk<Rules>::walk_scalar(ondemand::value& value, ondemand::json_type type, Count count) {
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

template <class Rules>
Status TextWalk<Rules>::walk_whole(ondemand::value& value, unsigned depth, Spot spot) {
  const char* begin = value.raw_json_token().data();
  last_token_end_ = begin;
  SLUICE_TRY(walk(value, depth, Count::kNothing, spot));
  bytes_ += static_cast<std::size_t>(last_token_end_ - begin);
  return ok();
}

}  // namespace sluice::wire
