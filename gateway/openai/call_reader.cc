#include "openai/call_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "openai/members.h"
#include "openai/text_walk.h"
#include "wire/folded_name.h"
#include "wire/json_value.h"
#include "wire/skim.h"

namespace sluice::openai {

namespace ondemand = simdjson::ondemand;

namespace {

using wire::bad;
using wire::Count;
using wire::equals_folded;
using wire::is_null;
using wire::kNotJson;
using wire::token_of;
using wire::type_of;

constexpr std::size_t kNameBytes = 256;      // of a model or a stored prompt
constexpr std::uint64_t kMostChoices = 128;  // the API's bound for n
constexpr std::uint64_t kMostPrompts = 2048;
constexpr std::uint64_t kGreatestCap = std::uint64_t{1} << 53;
constexpr double kLeastCap = -2;  // llama.cpp's "to the end of the context"; -1 and 0 are "no bound" to several servers

// What is said of a cap that is none.
struct CapRefusals {
  const char* kind;
  const char* fraction;
  const char* negative;
  const char* great;
};
#define SLUICE_CAP(name)                                                                                      \
  CapRefusals {                                                                                               \
    "'" name "' must be a whole number.", "'" name "' must be a whole number; the one given has a fraction.", \
        "'" name "' must be a whole number from 1 up; the one given is negative. Leave it out for no bound.", \
        "'" name "' must be a whole number of at most 9007199254740992 (2^53); leave it out for no bound."    \
  }

// One walk over one body.
class Walk final {
 public:
  Walk(ondemand::parser& parser, const Endpoint& endpoint, std::string_view body) noexcept
      : parser_(parser), endpoint_(endpoint), body_(body), members_(members_of(api_of(endpoint))) {}

  ~Walk() {
    if (unescaped_begin_ == nullptr) return;
    wipe(unescaped_begin_, static_cast<std::size_t>(unescaped_end_ - unescaped_begin_) + simdjson::SIMDJSON_PADDING);
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  Result<CallBody> run() {
    ondemand::document document;
    if (parser_.iterate(body_.data(), body_.size(), body_.size() + simdjson::SIMDJSON_PADDING).get(document))
      return bad(why_not_json());
    ondemand::object object;
    if (starts_with_mark()) return bad(kMark);
    if (document.get_object().get(object))
      return bad(begins_with_brace() ? why_not_json() : "The request body must be a JSON object.");
    call_.object_begin = body_.find('{');
    if (const Status read = read_members(object); !read)
      return std::string_view(read.error().what) == kNotJson ? bad(why_not_json()) : read.error();
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return bad(kBytesFollow);
    if (!call_.model_member.present()) return bad("The request body has no 'model'; name the model to call.");
    call_.choices = std::max(choices_, best_of_) * (api_of(endpoint_) == Api::kEmbedding ? 1 : call_.prompts);
    call_.prompt_estimate = (text_.bytes() + 3) / 4;
    return std::move(call_);
  }

 private:
  static constexpr const char* kMark =
      "The request body begins with a byte order mark; send JSON in UTF-8 without one.";
  static constexpr const char* kBytesFollow =
      "Bytes follow the JSON object in the request body; send one object and nothing behind it.";

  [[nodiscard]] bool starts_with_mark() const noexcept {
    return body_.starts_with("\xEF\xBB\xBF") || body_.starts_with("\xFE\xFF") || body_.starts_with("\xFF\xFE");
  }

  [[nodiscard]] bool begins_with_brace() const noexcept {
    const std::size_t begin = body_.find_first_not_of(kJsonWhite);
    return begin != std::string_view::npos && body_[begin] == '{';
  }

  // The parser's verdict in words that help. Of bytes behind the object it sees that the brackets do not match.
  [[nodiscard]] const char* why_not_json() const noexcept {
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

  Status read_members(ondemand::object& object) {
    bool empty = true;
    for (auto step : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return bad(kNotJson);
      note_unescaped(name);
      empty = false;
      SLUICE_TRY(read_member(name, field.value()));
    }
    call_.object_empty = empty;
    return ok();
  }

  // Names are unescaped into the parser's own buffer, one behind the other, a whole vector register at a time: what
  // stands behind a name in the body is copied with it. All of it is wiped at the end of the walk.
  void note_unescaped(std::string_view name) noexcept {
    char* const begin = const_cast<char*>(name.data());
    if (unescaped_begin_ == nullptr) unescaped_begin_ = begin;
    unescaped_end_ = std::max(unescaped_end_, begin + name.size());
  }

  Status read_member(std::string_view name, ondemand::value& value) {
    for (std::size_t i = 0; i < kNameCount; ++i) {
      const auto which = static_cast<Name>(i);
      const NameRow& row = row_of(which);
      if ((members_ & bit(which)) == 0 || !equals_folded(name, row.text)) continue;
      if ((seen_ & bit(which)) != 0) return bad(row.twice);
      if (name != row.text) return bad(row.miscased);
      seen_ |= bit(which);
      return read_known(which, value);
    }
    return read_other(name, value);
  }

  // A member that is not read, but for what it may refer to.
  Status read_other(std::string_view name, ondemand::value& value) {
    const StateRow* const row = find_state(Spot::kTop, name, api_of(endpoint_));
    if (row != nullptr && refers(value.raw_json_token())) return bad(row->refusal);
    const bool generates = api_of(endpoint_) != Api::kEmbedding;
    return text_.walk(value, 2, Count::kNothing, generates ? spot_inside(Spot::kTop, name) : Spot::kNowhere);
  }

  Status read_known(Name which, ondemand::value& value) {
    switch (which) {
      case Name::kModel:
        return read_model(value);
      case Name::kStream:
        return read_flag(value, call_.stream, "'stream' must be true or false.");
      case Name::kStreamOptions:
        return read_stream_options(value);
      case Name::kMaxCompletionTokens:
        return read_cap(which, value, SLUICE_CAP("max_completion_tokens"));
      case Name::kMaxTokens:
        return read_cap(which, value, SLUICE_CAP("max_tokens"));
      case Name::kMaxOutputTokens:
        return read_cap(which, value, SLUICE_CAP("max_output_tokens"));
      case Name::kPredict:
        return read_cap(which, value, SLUICE_CAP("n_predict"));
      case Name::kChoices:
        return read_choices(value, choices_, "'n' must be a whole number from 1 to 128.");
      case Name::kBestOf:
        return read_choices(value, best_of_, "'best_of' must be a whole number from 1 to 128.");
      case Name::kMessages:
        return read_list(value, "'messages' must be an array.");
      case Name::kPrompt:
        return api_of(endpoint_) == Api::kResponse ? read_stored_prompt(value) : read_prompt(which, value);
      case Name::kInput:
        return read_prompt(which, value);
      case Name::kSuffix:
        return text_.walk(value, 2, Count::kText, Spot::kNowhere);
      case Name::kInstructions:
        return text_.walk(value, 2, Count::kText, Spot::kItems);
      case Name::kTools:
        // Definitions of tools reach the model as text, names and all.
        return text_.walk_whole(value, 2, Spot::kTools);
      case Name::kBackground:
        return read_background(value);
      case Name::kCacheKey:
        return read_cache_key(value);
      case Name::kCount:
        break;
    }
    return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
  }

  [[nodiscard]] Member member_of(std::string_view text) const noexcept {
    return {static_cast<std::size_t>(text.data() - body_.data()), text.size()};
  }

  Status read_model(ondemand::value& value) {
    call_.model_member = member_of(token_of(value));
    return read_name(value, call_.model, "'model' must be a non-empty string of at most 256 bytes.");
  }

  Status read_name(ondemand::value& value, WipedString& name, const char* wrong) {
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

  static Status read_flag(ondemand::value& value, bool& into, const char* wrong) {
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    into = false;
    if (!*null && value.get_bool().get(into)) return bad(wrong);
    return ok();
  }

  // A whole number in any spelling ("5", "5.0", "5e0"); none: null.
  static Result<std::optional<double>> read_number(ondemand::value& value, const char* wrong, const char* fraction) {
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    if (*null) return std::optional<double>();
    double number = 0;
    if (value.get_double().get(number)) return bad(wrong);
    if (std::trunc(number) != number) return bad(fraction);
    return std::optional<double>(number);
  }

  Status read_cap(Name which, ondemand::value& value, const CapRefusals& refusals) {
    const std::string_view token = token_of(value);
    const Result<std::optional<double>> number = read_number(value, refusals.kind, refusals.fraction);
    if (!number) return number.error();
    if (number->has_value() && **number > static_cast<double>(kGreatestCap)) return bad(refusals.great);
    if (number->has_value() && **number < kLeastCap) return bad(refusals.negative);
    OutputCap& cap = call_.caps[call_.cap_count++];
    cap.name = row_of(which).text;
    cap.member = member_of(token);
    if (!number->has_value() || **number < 1) return ok();
    cap.value = static_cast<std::uint64_t>(**number);
    call_.output_cap = std::min(call_.output_cap.value_or(*cap.value), *cap.value);
    return ok();
  }

  static Status read_choices(ondemand::value& value, std::uint64_t& into, const char* wrong) {
    const Result<std::optional<double>> number = read_number(value, wrong, wrong);
    if (!number) return number.error();
    if (!number->has_value()) return ok();
    if (**number < 1 || **number > static_cast<double>(kMostChoices)) return bad(wrong);
    into = static_cast<std::uint64_t>(**number);
    return ok();
  }

  Status read_stream_options(ondemand::value& value) {
    constexpr const char* kWrong = "'stream_options' must be an object.";
    const std::string_view token = token_of(value);
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    if (*null) {
      call_.own[kStreamOptions] = member_of(token);
      call_.own_marks |= kStreamOptionsNull;
      return ok();
    }
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kWrong);
    call_.own[kStreamOptions] = member_of(token);
    call_.own_marks |= kStreamOptionsEmpty;
    for (auto step : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return bad(kNotJson);
      note_unescaped(name);
      call_.own_marks &= static_cast<std::uint8_t>(~kStreamOptionsEmpty);
      SLUICE_TRY(read_stream_option(name, field.value()));
    }
    return ok();
  }

  Status read_stream_option(std::string_view name, ondemand::value& value) {
    constexpr std::string_view kName = "include_usage";
    if (!equals_folded(name, kName)) return text_.walk(value, 3, Count::kNothing, Spot::kNowhere);
    if (call_.own[kIncludeUsage].present())
      return bad("'stream_options.include_usage' occurs twice in the request body; give it once.");
    if (name != kName)
      return bad("A member of 'stream_options' differs from 'include_usage' in case alone; use 'include_usage'.");
    call_.own[kIncludeUsage] = member_of(token_of(value));
    return read_flag(value, call_.wants_usage, "'stream_options.include_usage' must be true or false.");
  }

  Status read_list(ondemand::value& value, const char* wrong) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::array) return bad(wrong);
    return text_.walk(value, 2, Count::kText, Spot::kParts);
  }

  // A string, an array of strings, of tokens, or of arrays of tokens; for responses an array of items.
  Status read_prompt(Name which, ondemand::value& value) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (api_of(endpoint_) == Api::kResponse) return text_.walk(value, 2, Count::kText, Spot::kItems);
    if (*type != ondemand::json_type::array) return text_.walk(value, 2, Count::kText, Spot::kNowhere);
    ondemand::array array;
    if (value.get_array().get(array)) return bad(kNotJson);
    std::uint64_t prompts = 0;
    bool tokens = false;
    for (auto step : array) {
      if (step.error()) return bad(kNotJson);
      ondemand::value element = step.value_unsafe();
      const Result<ondemand::json_type> element_type = type_of(element);
      if (!element_type) return element_type.error();
      tokens = tokens || *element_type == ondemand::json_type::number;
      ++prompts;
      SLUICE_TRY(text_.walk(element, 3, Count::kTokens, Spot::kNowhere));
    }
    if (tokens) return ok();
    call_.prompts = std::max<std::uint64_t>(prompts, 1);
    if (which == Name::kInput) return ok();
    if (prompts > kMostPrompts) return bad("'prompt' holds too many prompts; the bound is 2048.");
    return ok();
  }

  Status read_background(ondemand::value& value) {
    bool background = false;
    SLUICE_TRY(read_flag(value, background, "'background' must be true or false."));
    if (background) return bad("'background': true is not supported by this gateway; leave it out or give false.");
    return ok();
  }

  // Cached prompts of one key of the model server are found by it, so that one caller's must not be another's.
  Status read_cache_key(ondemand::value& value) {
    if (!refers(value.raw_json_token())) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    call_.cache_key_member = member_of(token_of(value));
    return read_name(value, call_.prompt_cache_key, "'prompt_cache_key' must be a string of at most 256 bytes.");
  }

  // A prompt that the model server keeps, with its variables. Who may name which is not for this reader to say.
  Status read_stored_prompt(ondemand::value& value) {
    constexpr const char* kWrong = "'prompt.id' must be given once, as a string of at most 256 bytes.";
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::object) return text_.walk(value, 2, Count::kText, Spot::kItems);
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kNotJson);
    for (auto step : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return bad(kNotJson);
      note_unescaped(name);
      if (equals_folded(name, "id") && refers(field.value().raw_json_token())) {
        if (!call_.stored_prompt.empty()) return bad(kWrong);
        SLUICE_TRY(read_name(field.value(), call_.stored_prompt, kWrong));
      } else {
        const Spot spot = equals_folded(name, "variables") ? Spot::kVariables : Spot::kParts;
        SLUICE_TRY(text_.walk(field.value(), 3, Count::kText, spot));
      }
    }
    return ok();
  }

  char* unescaped_begin_ = nullptr;  // in the parser's string buffer, which is padded behind its last name
  char* unescaped_end_ = nullptr;
  ondemand::parser& parser_;
  const Endpoint& endpoint_;
  std::string_view body_;
  std::uint32_t members_;
  std::uint32_t seen_ = 0;
  std::uint64_t choices_ = 1;
  std::uint64_t best_of_ = 1;
  TextWalk text_;
  CallBody call_;
};

#undef SLUICE_CAP

}  // namespace

Result<CallBody> read_call(const Endpoint& endpoint, std::string_view body, wire::Parser& parser) noexcept {
  Result<CallBody> call = Walk(parser.memory().parser, endpoint, body).run();
  parser.trim();
  return call;
}

}  // namespace sluice::openai
