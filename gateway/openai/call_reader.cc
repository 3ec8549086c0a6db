#include "openai/call_reader.h"

#include <simdjson.h>

#include <algorithm>

#include "dialect/body_reader.h"
#include "openai/members.h"
#include "openai/text_walk.h"
#include "wire/folded_name.h"
#include "wire/json_value.h"

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

// Characters of a string as it stands in the text: an escape is one, and a pair of them for what lies beyond the BMP.
std::uint64_t characters_in(std::string_view token) noexcept {
  std::uint64_t characters = 0;
  for (std::size_t i = 1; i + 1 < token.size(); ++i) {
    const auto byte = static_cast<unsigned char>(token[i]);
    if ((byte & 0xC0) == 0x80) continue;
    ++characters;
    if (byte != '\\') continue;
    const bool code = token[++i] == 'u';
    const bool low_half = code && i + 2 < token.size() && (token[i + 1] | 0x20) == 'd' && (token[i + 2] | 0x20) >= 'c';
    if (low_half) --characters;
    if (code) i += 4;
  }
  return characters;
}

// One walk over one body.
class Walk final {
 public:
  Walk(ondemand::parser& parser, const Endpoint& endpoint, std::string_view body) noexcept
      : reader_(parser, body), endpoint_(endpoint), members_(members_of(api_of(endpoint))) {}

  Result<CallBody> run() {
    SLUICE_TRY(reader_.read(
        call_, [this](std::string_view name, ondemand::value& value) { return read_member(name, value); }));
    call_.choices = std::max(choices_, best_of_) * (generates() ? call_.prompts : 1);
    call_.prompt_estimate = (text_.bytes() + compared_bytes_ * (call_.prompts - 1) + 3) / 4;
    take_references();
    expect_output();
    if (api_of(endpoint_) == Api::kBatch) call_.background = true;  // no batch is anything else
    if (call_.background && !call_.stored.keep)
      return bad("'background': true needs a response that is stored: leave 'store' out, or give true.");
    return std::move(call_);
  }

 private:
  [[nodiscard]] bool generates() const noexcept { return endpoint_.work == dialect::Work::kGenerate; }

  // A response is kept where nothing else is said (API reference: 'store').
  void take_references() {
    const bool keep = keep_.value_or(api_of(endpoint_) == Api::kResponse || api_of(endpoint_) == Api::kBatch);
    call_.stored = std::move(text_.seen());
    call_.stored.keep = keep;
  }

  // Sound has about a token for each character.
  void expect_output() noexcept {
    if (api_of(endpoint_) == Api::kImage) call_.output_estimate = kTokensPerImage;
    if (api_of(endpoint_) != Api::kSpeech) return;
    call_.answer = dialect::AnswerForm::kBytes;
    call_.output_estimate = std::max<std::uint64_t>(call_.characters, 1);
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
    return text_.walk(value, 2, Count::kNothing, generates() ? spot_inside(Spot::kTop, name) : Spot::kNowhere);
  }

  Status read_known(Name which, ondemand::value& value) {
    switch (which) {
      case Name::kModel:
        return read_model(value);
      case Name::kStream:
        return reader_.read_flag(value, call_.stream, "'stream' must be true or false.");
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
        return api_of(endpoint_) == Api::kSpeech ? read_spoken(value) : read_prompt(which, value);
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
      case Name::kStore:
        return read_store(value);
      case Name::kPreviousResponse:
        return read_previous(value);
      case Name::kQuery:
      case Name::kQueries:
      case Name::kDocuments:
      case Name::kItems:
      case Name::kText1:
      case Name::kText2:
        return read_compared(value);
      case Name::kVoice:  // one of the caller's own, which the model server keeps, is named by an object
        return text_.walk(value, 2, Count::kNothing, Spot::kAudio);
      case Name::kStreamFormat:
        return read_stream_format(value);
      case Name::kInputFile:
        return read_input_file(value);
      case Name::kLineEndpoint:
        return reader_.read_name(value, call_.batch_path, "'endpoint' must be a string of at most 256 bytes.");
      case Name::kCount:
        break;
    }
    return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
  }

  Status read_model(ondemand::value& value) {
    call_.model_member = reader_.member_of(token_of(value));
    return reader_.read_name(value, call_.model, "'model' must be a non-empty string of at most 256 bytes.");
  }

  Status read_cap(Name which, ondemand::value& value, const CapRefusals& refusals) {
    const std::string_view token = token_of(value);
    const Result<std::optional<double>> number = reader_.read_number(value, refusals.kind, refusals.fraction);
    if (!number) return number.error();
    if (number->has_value() && **number > static_cast<double>(kGreatestCap)) return bad(refusals.great);
    if (number->has_value() && **number < kLeastCap) return bad(refusals.negative);
    OutputCap& cap = call_.caps[call_.cap_count++];
    cap.name = row_of(which).text;
    cap.member = reader_.member_of(token);
    if (!number->has_value() || **number < 1) return ok();
    cap.value = static_cast<std::uint64_t>(**number);
    call_.output_cap = std::min(call_.output_cap.value_or(*cap.value), *cap.value);
    return ok();
  }

  static Status read_choices(ondemand::value& value, std::uint64_t& into, const char* wrong) {
    const Result<std::optional<double>> number = dialect::BodyReader::read_number(value, wrong, wrong);
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
      call_.own[kStreamOptions] = reader_.member_of(token);
      call_.own_marks |= kStreamOptionsNull;
      return ok();
    }
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kWrong);
    call_.own[kStreamOptions] = reader_.member_of(token);
    call_.own_marks |= kStreamOptionsEmpty;
    return reader_.read_members(object, [this](std::string_view name, ondemand::value& option) {
      call_.own_marks &= static_cast<std::uint8_t>(~kStreamOptionsEmpty);
      return read_stream_option(name, option);
    });
  }

  Status read_stream_option(std::string_view name, ondemand::value& value) {
    constexpr std::string_view kName = "include_usage";
    if (!equals_folded(name, kName)) return text_.walk(value, 3, Count::kNothing, Spot::kNowhere);
    if (call_.own[kIncludeUsage].present())
      return bad("'stream_options.include_usage' occurs twice in the request body; give it once.");
    if (name != kName)
      return bad("A member of 'stream_options' differs from 'include_usage' in case alone; use 'include_usage'.");
    call_.own[kIncludeUsage] = reader_.member_of(token_of(value));
    return reader_.read_flag(value, call_.wants_usage, "'stream_options.include_usage' must be true or false.");
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

  Status read_spoken(ondemand::value& value) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::string) return bad("'input' must be a string.");
    call_.characters = characters_in(token_of(value));
    return text_.walk(value, 2, Count::kText, Spot::kNowhere);
  }

  Status read_stream_format(ondemand::value& value) {
    if (!refers(value.raw_json_token())) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    WipedString format;
    SLUICE_TRY(reader_.read_name(value, format, "'stream_format' must be 'audio' or 'sse'."));
    call_.stream = format == "sse";
    return ok();
  }

  // What is compared: one text, or several. The one is read with each of the several.
  Status read_compared(ondemand::value& value) {
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    const std::size_t before = text_.bytes();
    std::uint64_t count = 0;
    if (*type == ondemand::json_type::array) {
      ondemand::array array;
      if (value.get_array().get(array)) return bad(kNotJson);
      for (auto step : array) {
        if (step.error()) return bad(kNotJson);
        ondemand::value element = step.value_unsafe();
        ++count;
        SLUICE_TRY(text_.walk(element, 3, Count::kText, Spot::kNowhere));
      }
    } else {
      SLUICE_TRY(text_.walk(value, 2, Count::kText, Spot::kNowhere));
    }
    if (count <= 1) compared_bytes_ += text_.bytes() - before;
    call_.prompts = std::max(call_.prompts, count);
    return ok();
  }

  Status read_background(ondemand::value& value) {
    return reader_.read_flag(value, call_.background, "'background' must be true or false.");
  }

  // Cached prompts of one key of the model server are found by it, so that one caller's must not be another's.
  Status read_cache_key(ondemand::value& value) {
    if (!refers(value.raw_json_token())) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    call_.cache_key_member = reader_.member_of(token_of(value));
    return reader_.read_name(value, call_.prompt_cache_key,
                             "'prompt_cache_key' must be a string of at most 256 bytes.");
  }

  Status read_store(ondemand::value& value) {
    if (!refers(value.raw_json_token())) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    bool keep = true;
    SLUICE_TRY(reader_.read_flag(value, keep, "'store' must be true or false."));
    keep_ = keep;
    return ok();
  }

  // Whose it is, is looked up later: what cannot be an id is found as little as one that nobody has.
  Status read_previous(ondemand::value& value) {
    if (!refers(value.raw_json_token())) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    WipedString id;
    SLUICE_TRY(reader_.read_name(value, id, "'previous_response_id' must be a string of at most 256 bytes."));
    if (dialect::is_stored_id(id))
      text_.seen().answer.assign(std::string_view(id));
    else
      text_.seen().names_no_id = true;
    return ok();
  }

  // The file with the lines of a batch.
  Status read_input_file(ondemand::value& value) {
    WipedString id;
    SLUICE_TRY(reader_.read_name(value, id, "'input_file_id' must be a string of at most 256 bytes."));
    text_.seen().names_no_id = !dialect::is_stored_id(id);
    if (!text_.seen().names_no_id) text_.seen().answer.assign(std::string_view(id));
    text_.seen().kept = Kept::kFile;
    return ok();
  }

  // A prompt that the model server keeps, with its variables. Who may name which is not for this reader to say.
  Status read_stored_prompt(ondemand::value& value) {
    constexpr const char* kWrong = "'prompt.id' must be given once, as a string of at most 256 bytes.";
    const Result<ondemand::json_type> type = type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::object) return text_.walk(value, 2, Count::kText, Spot::kItems);
    ondemand::object object;
    if (value.get_object().get(object)) return bad(kNotJson);
    return reader_.read_members(object, [&](std::string_view name, ondemand::value& member) {
      if (equals_folded(name, "id") && refers(member.raw_json_token())) {
        if (!call_.stored_prompt.empty()) return Status(bad(kWrong));
        return reader_.read_name(member, call_.stored_prompt, kWrong);
      }
      const Spot spot = equals_folded(name, "variables") ? Spot::kVariables : Spot::kParts;
      return text_.walk(member, 3, Count::kText, spot);
    });
  }

  dialect::BodyReader reader_;
  const Endpoint& endpoint_;
  std::uint32_t members_;
  std::uint32_t seen_ = 0;
  std::uint64_t choices_ = 1;
  std::uint64_t best_of_ = 1;
  std::optional<bool> keep_;          // 'store', where it is given
  std::uint64_t compared_bytes_ = 0;  // of single texts that are compared with several
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
