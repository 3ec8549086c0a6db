#include "dialect/body_reader.h"

#include <array>
#include <cmath>

#include "base/text.h"
#include "wire/skim.h"

namespace sluice::dialect {

namespace ondemand = simdjson::ondemand;

namespace {

using wire::bad;
using wire::is_null;
using wire::kNotJson;
using wire::token_of;

constexpr std::size_t kNameBytes = 256;
constexpr const char* kMark = "The request body begins with a byte order mark; send JSON in UTF-8 without one.";
constexpr const char* kBytesFollow =
    "Bytes follow the JSON object in the request body; send one object and nothing behind it.";

}  // namespace

BodyReader::~BodyReader() {
  if (unescaped_begin_ == nullptr) return;
  wipe(unescaped_begin_, static_cast<std::size_t>(unescaped_end_ - unescaped_begin_) + simdjson::SIMDJSON_PADDING);
}

Status BodyReader::open(ondemand::document& document, ondemand::object& object) {
  if (parser_.iterate(body_.data(), body_.size(), body_.size() + simdjson::SIMDJSON_PADDING).get(document))
    return bad(why_not_json());
  if (starts_with_mark()) return bad(kMark);
  if (document.get_object().get(object))
    return bad(begins_with_brace() ? why_not_json() : "The request body must be a JSON object.");
  return ok();
}

Status BodyReader::close(ondemand::document& document, const Status& read) {
  if (!read) return std::string_view(read.error().what) == kNotJson ? Status(bad(why_not_json())) : read;
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return bad(kBytesFollow);
  return ok();
}

bool BodyReader::starts_with_mark() const noexcept {
  return body_.starts_with("\xEF\xBB\xBF") || body_.starts_with("\xFE\xFF") || body_.starts_with("\xFF\xFE");
}

bool BodyReader::begins_with_brace() const noexcept {
  const std::size_t begin = body_.find_first_not_of(kJsonWhite);
  return begin != std::string_view::npos && body_[begin] == '{';
}

// The parser's verdict in words that help. Of bytes behind the object it sees that the brackets do not match.
const char* BodyReader::why_not_json() const noexcept {
  const std::size_t begin = body_.find_first_not_of(kJsonWhite);
  if (begin == std::string_view::npos) return "The request body is empty; it is not valid JSON. Send a JSON object.";
  if (starts_with_mark()) return kMark;
  if (!begins_with_brace()) return kNotJson;
  const char* const end = body_.data() + body_.size();
  const char* const behind = wire::skim_container(body_.data() + begin, end);
  if (behind == nullptr) return "The request body is not valid JSON: it ends before its object does.";
  const std::string_view rest(behind, static_cast<std::size_t>(end - behind));
  return rest.find_first_not_of(kJsonWhite) == std::string_view::npos ? kNotJson : kBytesFollow;
}

Status BodyReader::read_name(ondemand::value& value, WipedString& name, const char* wrong) {
  const std::string_view token = token_of(value);
  ondemand::raw_json_string raw;
  if (value.get_raw_json_string().get(raw) || token.size() > 6 * kNameBytes) return bad(wrong);
  // Into memory of our own, which is wiped; the parser's is not.
  std::array<std::uint8_t, 6 * kNameBytes + simdjson::SIMDJSON_PADDING> scratch;
  std::uint8_t* into = scratch.data();
  std::string_view text;
  const bool failed = parser_.unescape(raw, into).get(text) != simdjson::SUCCESS;
  if (!failed) name.assign(text.substr(0, kNameBytes + 1));
  wipe(scratch.data(), scratch.size());
  if (failed) return bad(kNotJson);
  return name.empty() || name.size() > kNameBytes ? Status(bad(wrong)) : ok();
}

Status BodyReader::read_flag(ondemand::value& value, bool& into, const char* wrong) {
  const Result<bool> null = is_null(value);
  if (!null) return null.error();
  into = false;
  if (!*null && value.get_bool().get(into)) return bad(wrong);
  return ok();
}

Result<std::optional<double>> BodyReader::read_number(ondemand::value& value, const char* wrong, const char* fraction) {
  const Result<bool> null = is_null(value);
  if (!null) return null.error();
  if (*null) return std::optional<double>();
  double number = 0;
  if (value.get_double().get(number)) return bad(wrong);
  if (std::trunc(number) != number) return bad(fraction);
  return std::optional<double>(number);
}

}  // namespace sluice::dialect
