#include "openai/call_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <new>

namespace sluice::openai {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr unsigned kDeepest = 128;  // nesting that a model server's own parser is sure to take
constexpr std::size_t kModelBytes = 256;
constexpr std::uint64_t kMostChoices = 128;  // the API's bound for n
constexpr std::uint64_t kMostPrompts = 2048;
constexpr std::uint64_t kGreatestCap = std::uint64_t{1} << 53;
constexpr std::size_t kKeptParserBytes = 4 * 1024 * 1024;  // a parser that grew beyond is not kept

constexpr const char* kNotJson = "The request body is not valid JSON.";
constexpr const char* kTooDeep = "The request body nests too deeply; the bound is 128 levels.";

// The members that some endpoint reads or edits.
enum class Name : std::uint8_t {
  kModel,
  kStream,
  kStreamOptions,
  kMaxCompletionTokens,
  kMaxTokens,
  kMaxOutputTokens,
  kPredict,
  kChoices,
  kBestOf,
  kMessages,
  kPrompt,
  kSuffix,
  kInput,
  kInstructions,
  kTools,
  kBackground,
  kPreviousResponse,
  kCount,
};

struct NameRow {
  std::string_view text;
  const char* twice;     // the error when it occurs twice
  const char* miscased;  // the error when it is spelt in another case
};

#define SLUICE_MEMBER(name)                                                                         \
  {                                                                                                 \
    name, "The member '" name "' occurs twice in the request body; give it once.",                  \
        "A member differs from '" name "' in case alone; names are case-sensitive, use '" name "'." \
  }
constexpr std::array<NameRow, static_cast<std::size_t>(Name::kCount)> kNames{{
    SLUICE_MEMBER("model"),
    SLUICE_MEMBER("stream"),
    SLUICE_MEMBER("stream_options"),
    SLUICE_MEMBER("max_completion_tokens"),
    SLUICE_MEMBER("max_tokens"),
    SLUICE_MEMBER("max_output_tokens"),
    SLUICE_MEMBER("n_predict"),
    SLUICE_MEMBER("n"),
    SLUICE_MEMBER("best_of"),
    SLUICE_MEMBER("messages"),
    SLUICE_MEMBER("prompt"),
    SLUICE_MEMBER("suffix"),
    SLUICE_MEMBER("input"),
    SLUICE_MEMBER("instructions"),
    SLUICE_MEMBER("tools"),
    SLUICE_MEMBER("background"),
    SLUICE_MEMBER("previous_response_id"),
}};
#undef SLUICE_MEMBER

constexpr std::uint32_t bit(Name name) noexcept { return 1U << static_cast<unsigned>(name); }

template <class... Names>
constexpr std::uint32_t bits(Names... names) noexcept {
  return (bit(names) | ...);
}

// What each dialect reads. n_predict is llama.cpp's own, which it prefers to max_tokens: a clamp that passed it by
// would bound nothing.
constexpr std::uint32_t members_of(Dialect dialect) noexcept {
  switch (dialect) {
    case Dialect::kChat:
      return bits(Name::kModel, Name::kStream, Name::kStreamOptions, Name::kMaxCompletionTokens, Name::kMaxTokens,
                  Name::kPredict, Name::kChoices, Name::kMessages, Name::kTools);
    case Dialect::kCompletion:
      return bits(Name::kModel, Name::kStream, Name::kStreamOptions, Name::kMaxTokens, Name::kPredict, Name::kChoices,
                  Name::kBestOf, Name::kPrompt, Name::kSuffix);
    case Dialect::kEmbedding:
      return bits(Name::kModel, Name::kInput);
    case Dialect::kResponse:
      return bits(Name::kModel, Name::kStream, Name::kMaxOutputTokens, Name::kPredict, Name::kInput,
                  Name::kInstructions, Name::kTools, Name::kBackground, Name::kPreviousResponse);
    case Dialect::kNone:
      break;
  }
  return bit(Name::kModel);
}

// The next character of `text` with ASCII case folded, and with the two letters beyond ASCII that Unicode folds into
// it: Go's JSON decoder, which Ollama uses, matches "\u017Ftream" with "stream".
char folded(std::string_view& text) noexcept {
  constexpr std::string_view kLongS = "\xC5\xBF";
  constexpr std::string_view kKelvin = "\xE2\x84\xAA";
  if (text.starts_with(kLongS)) {
    text.remove_prefix(kLongS.size());
    return 's';
  }
  if (text.starts_with(kKelvin)) {
    text.remove_prefix(kKelvin.size());
    return 'k';
  }
  const char c = text.front();
  text.remove_prefix(1);
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool equals_folded(std::string_view text, std::string_view lower_case) noexcept {
  while (!text.empty() && !lower_case.empty()) {
    if (folded(text) != lower_case.front()) return false;
    lower_case.remove_prefix(1);
  }
  return text.empty() && lower_case.empty();
}

// A token ends where the next one starts; what stands between is white space.
std::string_view trimmed(std::string_view token) noexcept {
  const std::size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

Error bad(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

// Whether a string's token carries bytes in base64 rather than text.
bool is_base64_url(std::string_view token) noexcept {
  constexpr std::size_t kLongestMediaType = 160;
  return token.starts_with("\"data:") && token.substr(0, kLongestMediaType).find(";base64,") != std::string_view::npos;
}

// What a walk over nested values counts.
enum class Count : std::uint8_t {
  kNothing,  // walked for its structure alone
  kText,     // the bytes of strings
  kTokens,   // the same, and numbers are tokens
};

// Members of a message whose strings are not text that a model reads.
bool is_text_member(std::string_view name) noexcept {
  constexpr std::string_view kOthers[] = {"role",      "type",     "id",           "data",
                                          "file_data", "b64_json", "tool_call_id", "call_id"};
  return std::find(std::begin(kOthers), std::end(kOthers), name) == std::end(kOthers);
}

}  // namespace

struct CallReader::Parser {
  ondemand::parser parser;
};

namespace {

// One walk over one body.
class Walk final {
 public:
  Walk(ondemand::parser& parser, const Endpoint& endpoint, std::string_view body) noexcept
      : parser_(parser), endpoint_(endpoint), body_(body), members_(members_of(endpoint.dialect)) {}

  Result<CallBody> run() {
    ondemand::document document;
    if (parser_.iterate(body_.data(), body_.size(), body_.size() + simdjson::SIMDJSON_PADDING).get(document))
      return bad(kNotJson);
    ondemand::object object;
    if (document.get_object().get(object)) return bad("The request body must be a JSON object.");
    call_.object_begin = body_.find('{');
    SLUICE_TRY(read_members(object));
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return bad("Bytes follow the JSON object in the request body.");
    if (!call_.model_member.present()) return bad("The request body has no 'model'; name the model to call.");
    call_.choices = std::max(choices_, best_of_) * prompts_;
    call_.prompt_estimate = (text_bytes_ + 3) / 4;
    return std::move(call_);
  }

 private:
  Status read_members(ondemand::object& object) {
    bool empty = true;
    for (auto step : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return bad(kNotJson);
      empty = false;
      SLUICE_TRY(read_member(name, field.value()));
    }
    call_.object_empty = empty;
    return ok();
  }

  Status read_member(std::string_view name, ondemand::value& value) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      const auto which = static_cast<Name>(i);
      if ((members_ & bit(which)) == 0 || !equals_folded(name, kNames[i].text)) continue;
      if ((seen_ & bit(which)) != 0) return bad(kNames[i].twice);
      if (name != kNames[i].text) return bad(kNames[i].miscased);
      seen_ |= bit(which);
      return read_known(which, value);
    }
    return walk(value, 2, Count::kNothing);
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
        return read_cap(which, value, "'max_completion_tokens' must be a whole number.");
      case Name::kMaxTokens:
        return read_cap(which, value, "'max_tokens' must be a whole number.");
      case Name::kMaxOutputTokens:
        return read_cap(which, value, "'max_output_tokens' must be a whole number.");
      case Name::kPredict:
        return read_cap(which, value, "'n_predict' must be a whole number.");
      case Name::kChoices:
        call_.n_present = true;
        return read_choices(value, choices_, "'n' must be a whole number from 1 to 128.");
      case Name::kBestOf:
        return read_choices(value, best_of_, "'best_of' must be a whole number from 1 to 128.");
      case Name::kMessages:
        return read_list(value, "'messages' must be an array.");
      case Name::kPrompt:
      case Name::kInput:
        return read_prompt(which, value);
      case Name::kSuffix:
      case Name::kInstructions:
        return walk(value, 2, Count::kText);
      case Name::kTools:
        return read_tools(value);
      case Name::kBackground:
        return read_background(value);
      case Name::kPreviousResponse:
        return read_previous_response(value);
      case Name::kCount:
        break;
    }
    return walk(value, 2, Count::kNothing);
  }

  static Result<ondemand::json_type> type_of(ondemand::value& value) noexcept {
    ondemand::json_type type{};
    if (value.type().get(type)) return bad(kNotJson);
    return type;
  }

  static Result<bool> is_null(ondemand::value& value) noexcept {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::null) return false;
    bool null = false;
    if (value.is_null().get(null) || !null) return bad(kNotJson);
    return true;
  }

  [[nodiscard]] Member member_of(std::string_view text) const noexcept {
    return {static_cast<std::size_t>(text.data() - body_.data()), text.size()};
  }

  Status read_model(ondemand::value& value) {
    constexpr const char* kWrong = "'model' must be a non-empty string of at most 256 bytes.";
    const std::string_view token = trimmed(value.raw_json_token());
    ondemand::raw_json_string raw;
    if (value.get_raw_json_string().get(raw) || token.size() > 6 * kModelBytes) return bad(kWrong);
    // Into memory of our own, which is wiped; the parser's is not.
    std::array<std::uint8_t, 6 * kModelBytes + simdjson::SIMDJSON_PADDING> scratch;
    std::uint8_t* into = scratch.data();
    std::string_view name;
    const bool failed = parser_.unescape(raw, into).get(name) != simdjson::SUCCESS;
    if (!failed) call_.model.assign(name.substr(0, kModelBytes + 1));
    wipe(scratch.data(), scratch.size());
    if (failed) return bad(kNotJson);
    if (call_.model.empty() || call_.model.size() > kModelBytes) return bad(kWrong);
    call_.model_member = member_of(token);
    return ok();
  }

  static Status read_flag(ondemand::value& value, bool& into, const char* wrong) {
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    into = false;
    if (!*null && value.get_bool().get(into)) return bad(wrong);
    return ok();
  }

  // A whole number in any spelling ("5", "5.0", "5e0"); none: null.
  static Result<std::optional<double>> read_number(ondemand::value& value, const char* wrong) {
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    if (*null) return std::optional<double>();
    double number = 0;
    if (value.get_double().get(number) || std::trunc(number) != number) return bad(wrong);
    return std::optional<double>(number);
  }

  Status read_cap(Name which, ondemand::value& value, const char* wrong) {
    const std::string_view token = trimmed(value.raw_json_token());
    const Result<std::optional<double>> number = read_number(value, wrong);
    if (!number) return number.error();
    if (number->has_value() && **number > static_cast<double>(kGreatestCap)) return bad(wrong);
    OutputCap& cap = call_.caps[call_.cap_count++];
    cap.name = kNames[static_cast<std::size_t>(which)].text;
    cap.member = member_of(token);
    if (!number->has_value() || **number < 1) return ok();
    cap.value = static_cast<std::uint64_t>(**number);
    call_.output_cap = std::min(call_.output_cap.value_or(*cap.value), *cap.value);
    return ok();
  }

  static Status read_choices(ondemand::value& value, std::uint64_t& into, const char* wrong) {
    const Result<std::optional<double>> number = read_number(value, wrong);
    if (!number) return number.error();
    if (!number->has_value()) return ok();
    if (**number < 1 || **number > static_cast<double>(kMostChoices)) return bad(wrong);
    into = static_cast<std::uint64_t>(**number);
    return ok();
  }

  Status read_stream_options(ondemand::value& value) {
    constexpr const char* kWrong = "'stream_options' must be an object.";
    const std::string_view token = trimmed(value.raw_json_token());
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    if (*null) {
      call_.stream_options = member_of(token);
      call_.stream_options_null = true;
      return ok();
    }
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kWrong);
    call_.stream_options = member_of(token);
    call_.stream_options_empty = true;
    for (auto step : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return bad(kNotJson);
      call_.stream_options_empty = false;
      SLUICE_TRY(read_stream_option(name, field.value()));
    }
    return ok();
  }

  Status read_stream_option(std::string_view name, ondemand::value& value) {
    constexpr std::string_view kIncludeUsage = "include_usage";
    if (!equals_folded(name, kIncludeUsage)) return walk(value, 3, Count::kNothing);
    if (call_.include_usage_member.present())
      return bad("'stream_options.include_usage' occurs twice in the request body; give it once.");
    if (name != kIncludeUsage)
      return bad("A member of 'stream_options' differs from 'include_usage' in case alone; use 'include_usage'.");
    call_.include_usage_member = member_of(trimmed(value.raw_json_token()));
    return read_flag(value, call_.include_usage, "'stream_options.include_usage' must be true or false.");
  }

  Status read_list(ondemand::value& value, const char* wrong) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::array) return bad(wrong);
    return walk(value, 2, Count::kText);
  }

  // Definitions of tools reach the model as text, names and all: their length is counted as it stands.
  Status read_tools(ondemand::value& value) {
    const char* begin = value.raw_json_token().data();
    last_token_end_ = begin;
    SLUICE_TRY(walk(value, 2, Count::kNothing));
    text_bytes_ += static_cast<std::size_t>(last_token_end_ - begin);
    return ok();
  }

  // A string, an array of strings, of tokens, or of arrays of tokens; for responses an array of items.
  Status read_prompt(Name which, ondemand::value& value) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::array) return walk(value, 2, Count::kText);
    if (endpoint_.dialect == Dialect::kResponse) return walk(value, 2, Count::kText);
    ondemand::array array;
    if (value.get_array().get(array)) return bad(kNotJson);
    std::uint64_t prompts = 0;
    bool tokens = false;
    for (auto step : array) {
      ondemand::value element;
      if (std::move(step).get(element)) return bad(kNotJson);
      const Result<ondemand::json_type> element_type = type_of(element);
      if (!element_type) return element_type.error();
      tokens = tokens || *element_type == ondemand::json_type::number;
      ++prompts;
      SLUICE_TRY(walk(element, 3, Count::kTokens));
    }
    if (which == Name::kInput || tokens) return ok();
    if (prompts > kMostPrompts) return bad("'prompt' holds too many prompts; the bound is 2048.");
    prompts_ = std::max<std::uint64_t>(prompts, 1);
    return ok();
  }

  Status read_background(ondemand::value& value) {
    bool background = false;
    SLUICE_TRY(read_flag(value, background, "'background' must be true or false."));
    if (background) return bad("'background': true is not supported by this gateway; leave it out or give false.");
    return ok();
  }

  Status read_previous_response(ondemand::value& value) {
    const Result<bool> null = is_null(value);
    if (!null) return null.error();
    if (!*null)
      return bad("'previous_response_id' is not supported by this gateway; send the whole conversation in 'input'.");
    return ok();
  }

  // Steps over a value and all that is in it. Recursion is bounded by kDeepest.
  Status walk(ondemand::value& value, unsigned depth, Count count) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    switch (*type) {
      case ondemand::json_type::array:
        return walk_array(value, depth, count);
      case ondemand::json_type::object:
        return walk_object(value, depth, count);
      default:
        return walk_scalar(value, *type, count);
    }
  }

  Status walk_array(ondemand::value& value, unsigned depth, Count count) {
    if (depth > kDeepest) return bad(kTooDeep);
    ondemand::array array;
    if (value.get_array().get(array)) return bad(kNotJson);
    for (auto step : array) {
      ondemand::value element;
      if (std::move(step).get(element)) return bad(kNotJson);
      SLUICE_TRY(walk(element, depth + 1, count));
    }
    return ok();
  }

  Status walk_object(ondemand::value& value, unsigned depth, Count count) {
    if (depth > kDeepest) return bad(kTooDeep);
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kNotJson);
    for (auto step : object) {
      ondemand::field field;
      if (std::move(step).get(field)) return bad(kNotJson);
      const bool text = count != Count::kNothing && is_text_member(name_of(field));
      SLUICE_TRY(walk(field.value(), depth + 1, text ? count : Count::kNothing));
    }
    return ok();
  }

  // As it stands in the text: an escaped spelling only changes the estimate.
  static std::string_view name_of(ondemand::field& field) noexcept {
    const char* begin = field.key().raw();
    constexpr std::size_t kLongest = 16;
    std::size_t length = 0;
    while (length < kLongest && begin[length] != '"') ++length;
    return {begin, length};
  }

  Status walk_scalar(ondemand::value& value, ondemand::json_type type, Count count) {
    const std::string_view token = trimmed(value.raw_json_token());
    last_token_end_ = token.data() + token.size();
    switch (type) {
      case ondemand::json_type::string:
        if (count != Count::kNothing && !is_base64_url(token))
          text_bytes_ += token.size() - std::min<std::size_t>(2, token.size());
        return ok();
      case ondemand::json_type::number:
        if (count == Count::kTokens) text_bytes_ += 4;
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

  ondemand::parser& parser_;
  const Endpoint& endpoint_;
  std::string_view body_;
  std::uint32_t members_;
  std::uint32_t seen_ = 0;
  std::uint64_t choices_ = 1;
  std::uint64_t best_of_ = 1;
  std::uint64_t prompts_ = 1;
  std::size_t text_bytes_ = 0;
  const char* last_token_end_ = nullptr;
  CallBody call_;
};

}  // namespace

CallReader::CallReader() : parser_(std::make_unique<Parser>()) {}
CallReader::~CallReader() = default;

Result<CallBody> CallReader::read(const Endpoint& endpoint, std::string_view body) noexcept {
  Result<CallBody> call = Walk(parser_->parser, endpoint, body).run();
  // The parser's index is several times as large as the body: what one large call needed is given back.
  if (parser_->parser.capacity() > kKeptParserBytes) parser_->parser = ondemand::parser();
  return call;
}

}  // namespace sluice::openai
