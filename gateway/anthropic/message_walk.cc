#include "anthropic/message_walk.h"

#include <algorithm>

#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::anthropic {
namespace {

constexpr std::size_t kMostUsageBytes = 64u << 10;  // a longer usage object is none
constexpr std::uint32_t kNameBytes = 64;            // of a member's name

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_mark(char c) noexcept { return c == '\xEF' || c == '\xBB' || c == '\xBF'; }  // the bytes of a BOM

}  // namespace

void MessageWalk::take(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  capture_from_ = at;
  while (at != end && form_ != Form::kBroken) at = string_.is_open() ? through_string(at, end) : step(at);
  if (!captures_) return;
  captured_.append({capture_from_, static_cast<std::size_t>(end - capture_from_)});
  if (captured_.size() <= kMostUsageBytes) return;
  captured_.release();
  captures_ = false;
}

// One byte of structure.
const char* MessageWalk::step(const char* at) {
  const char c = *at;
  if (is_space(c)) return at + 1;
  if (depth_ == 0 && (c != '{' || form_ != Form::kOpen)) {
    if (form_ != Form::kOpen || !is_mark(c)) form_ = Form::kBroken;
    return at + 1;
  }
  switch (c) {
    case '"':
      begin_string();
      break;
    case '{':
    case '[':
      open(at);
      break;
    case '}':
    case ']':
      close(at);
      break;
    case ':':
      after_colon_ = true;
      if (depth_ == 1) top_ = key_;
      break;
    case ',':
      after_colon_ = false;
      break;
    default:  // of a number, true, false or null
      if (depth_ == 1 && top_ == Key::kInputTokens && after_colon_)
        has_own_ = has_own_ || (api_ == Api::kCountTokens && c >= '0' && c <= '9');
      break;
  }
  return at + 1;
}

void MessageWalk::begin_string() noexcept {
  const bool kept = depth_ == 1 && (top_ == Key::kModel || top_ == Key::kType);
  string_.begin(at_name() ? kNameBytes : kept ? wire::StringInPieces::kMostKept : 0);
}

const char* MessageWalk::through_string(const char* at, const char* end) {
  at = string_.take(at, end);
  if (!string_.is_open()) end_string();
  return at;
}

void MessageWalk::end_string() {
  const std::string_view kept = string_.beginning();
  if (at_name()) {
    std::array<char, kNameBytes> decoded;
    key_ = key_of(wire::plain_name(kept, decoded));
    return;
  }
  if (top_ == Key::kContent && depth_ > 1 && key_ != Key::kNoText && key_ != Key::kType)
    text_bytes_ += static_cast<std::uint64_t>(std::max<std::int64_t>(string_.size_bytes(), 0));
  if (depth_ != 1) return;
  if (top_ == Key::kModel) {
    std::array<char, 256> decoded;
    model_.assign(wire::unescape(kept, decoded));
  } else if (top_ == Key::kError) {
    says_error_ = says_error_ || string_.size_bytes() > 0;
  } else if (top_ == Key::kType) {
    says_error_ = says_error_ || kept == "error";
  }
}

MessageWalk::Key MessageWalk::key_of(std::string_view name) noexcept {
  struct Row {
    std::string_view name;
    Key key;
  };
  constexpr std::array<Row, 12> kRows{{{"id", Key::kNoText},
                                       {"type", Key::kType},
                                       {"data", Key::kNoText},
                                       {"usage", Key::kUsage},
                                       {"model", Key::kModel},
                                       {"error", Key::kError},
                                       {"content", Key::kContent},
                                       {"signature", Key::kNoText},
                                       {"tool_use_id", Key::kNoText},
                                       {"input_tokens", Key::kInputTokens},
                                       {"encrypted_index", Key::kNoText},
                                       {"encrypted_content", Key::kNoText}}};
  const auto row = std::ranges::find(kRows, name, &Row::name);
  return row == kRows.end() ? Key::kOther : row->key;
}

void MessageWalk::open(const char* bracket) {
  const bool object = *bracket == '{';
  if (depth_ == 1 && after_colon_) {
    if (top_ == Key::kContent) has_own_ = has_own_ || (!object && api_ == Api::kMessages);
    if (top_ == Key::kError) says_error_ = says_error_ || object;
    if (top_ == Key::kUsage && object && api_ == Api::kMessages) {
      captures_ = true;
      capture_from_ = bracket;
    }
  }
  ++depth_;
  if (depth_ <= kTrackedLevels) {
    const std::uint64_t bit = std::uint64_t{1} << (depth_ - 1);
    objects_ = object ? objects_ | bit : objects_ & ~bit;
  }
  after_colon_ = false;
  // The strings of a list are of the member that holds it.
  if (object) key_ = Key::kOther;
}

void MessageWalk::close(const char* bracket) {
  if (depth_ <= kTrackedLevels && in_object() != (*bracket == '}')) {
    form_ = Form::kBroken;
    return;
  }
  if (--depth_ == 1 && captures_) end_capture(bracket + 1);
  if (depth_ == 0) form_ = Form::kWhole;
  after_colon_ = false;
}

// One that says nothing, as null and zeros do, takes nothing back.
void MessageWalk::end_capture(const char* behind) {
  captured_.append({capture_from_, static_cast<std::size_t>(behind - capture_from_)});
  if (const std::optional<dialect::UsageReading> reading = dialect::read_usage(captured_.view())) usage_ = reading;
  captured_.clear();
  captures_ = false;
}

}  // namespace sluice::anthropic
