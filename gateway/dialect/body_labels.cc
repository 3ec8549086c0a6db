#include "dialect/body_labels.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "dialect/body_reader.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::dialect {

namespace ondemand = simdjson::ondemand;

namespace {

using wire::bad;

constexpr const char* kWrong = "'_meta' must be an object of up to 16 labels, whose values are strings or numbers.";
constexpr const char* kTooLong = "'_meta' is too long: a label's value has at most 256 bytes, and all of it 16 KiB.";
constexpr std::size_t kNumberBytes = 32;

// The text of a value that begins at `member`, to its end. Nothing: it is longer than labels may be.
std::optional<std::string_view> whole_value(std::string_view body, const Member& member) noexcept {
  const std::string_view most = body.substr(member.offset, kMostLabelBytes);
  if (most.front() != '{') return most.substr(0, std::min(member.length, most.size()));
  const char* const end = wire::skim_container(most.data(), most.data() + most.size());
  if (end == nullptr) return std::nullopt;
  return most.substr(0, static_cast<std::size_t>(end - most.data()));
}

// A label's value: a string into `text`, a number as it is spelt. Nothing: it is neither.
std::optional<std::string_view> value_of(BodyReader& reader, ondemand::value& value, WipedString& text) {
  const std::string_view token = wire::token_of(value);
  if (token == "\"\"") return std::string_view();
  if (token.starts_with('"')) {
    if (!reader.read_name(value, text, kTooLong)) return std::nullopt;
    return std::string_view(text);
  }
  double number = 0;
  if (token.size() > kNumberBytes || value.get_double().get(number)) return std::nullopt;
  return token;
}

// The member whose value is `value`: from its name on, with the comma that it leaves over. Nothing: its name is spelt with
// escapes.
std::optional<Member> member_around(CallBody& call, std::string_view body, std::string_view value) noexcept {
  constexpr std::string_view kName = "\"_meta\"";
  const auto before = [&](std::size_t at) {
    const std::size_t last = body.substr(0, at).find_last_not_of(kJsonWhite);
    return last == std::string_view::npos ? 0 : last;
  };
  const auto offset = static_cast<std::size_t>(value.data() - body.data());
  const std::string_view name = body.substr(0, before(before(offset)) + 1);  // in front of the colon
  if (!name.ends_with(kName)) return std::nullopt;
  std::size_t begin = name.size() - kName.size();
  std::size_t end = offset + value.size();
  const std::size_t behind = std::min(body.find_first_not_of(kJsonWhite, end), body.size() - 1);
  if (body[behind] == ',') {
    end = behind + 1;
  } else if (const std::size_t comma = before(begin); body[comma] == ',') {
    begin = comma;
  } else {
    call.object_empty = true;  // nothing is left
  }
  return Member{.offset = begin, .length = end - begin};
}

}  // namespace

Status take_meta(CallBody& call, std::string_view body, wire::Parser& parser, const TakeLabel& take) {
  const std::optional<std::string_view> value = whole_value(body, call.labels.meta);
  if (!value) return bad(kTooLong);
  const std::optional<Member> cut = member_around(call, body, *value);
  if (!cut) return bad("'_meta' is spelt with escapes in the request body; write it plainly.");
  call.labels.cut = *cut;
  if (*value == "null") return ok();
  if (!value->starts_with('{')) return bad(kWrong);
  CallBody inside;
  BodyReader reader(parser.memory().parser, *value);
  std::size_t labels = 0;
  return reader.read(inside, [&](std::string_view name, ondemand::value& label) {
    WipedString text;
    const bool is_text = wire::token_of(label).starts_with('"');
    const std::optional<std::string_view> said = value_of(reader, label, text);
    if (!said) return Status(bad(is_text ? kTooLong : kWrong));
    if (++labels > kMostLabels) return Status(bad(kWrong));
    take(name, *said);
    return ok();
  });
}

void read_label_member(const Member& member, std::string_view name, std::string_view body, wire::Parser& parser,
                       const TakeLabel& take) {
  if (!member.present()) return;
  const std::optional<std::string_view> value = whole_value(body, member);
  if (!value) return;
  if (!value->starts_with('{')) {
    std::array<char, 256> into;
    if (value->size() > 2 && value->starts_with('"'))
      take(name, wire::unescape(value->substr(1, value->size() - 2), into));
    return;
  }
  CallBody inside;
  BodyReader reader(parser.memory().parser, *value);
  std::size_t labels = 0;
  (void)reader.read(inside, [&](std::string_view key, ondemand::value& label) {
    WipedString text;
    const std::optional<std::string_view> said = value_of(reader, label, text);
    if (said && ++labels <= kMostLabels) take(std::string(name) + "." + std::string(key), *said);
    return ok();
  });
}

}  // namespace sluice::dialect
