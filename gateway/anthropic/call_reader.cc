#include "anthropic/call_reader.h"

#include <array>
#include <charconv>

#include "anthropic/text_walk.h"
#include "dialect/body_reader.h"
#include "dialect/splices.h"
#include "wire/folded_name.h"

namespace sluice::anthropic {

namespace ondemand = simdjson::ondemand;

namespace {

using dialect::BodyReader;
using dialect::CallBody;
using wire::bad;
using wire::Count;
using wire::equals_folded;
using wire::token_of;

constexpr std::uint64_t kGreatestCap = std::uint64_t{1} << 53;

// The members that are read or edited.
enum class Name : std::uint8_t { kModel, kMaxTokens, kStream, kMessages, kSystem, kTools, kThinking, kCount };
constexpr std::size_t kNameCount = static_cast<std::size_t>(Name::kCount);

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
constexpr std::array<NameRow, kNameCount> kNames{{
    SLUICE_MEMBER("model"),
    SLUICE_MEMBER("max_tokens"),
    SLUICE_MEMBER("stream"),
    SLUICE_MEMBER("messages"),
    SLUICE_MEMBER("system"),
    SLUICE_MEMBER("tools"),
    SLUICE_MEMBER("thinking"),
}};
#undef SLUICE_MEMBER

constexpr std::uint32_t bit(Name name) noexcept { return 1U << static_cast<unsigned>(name); }

std::uint32_t members_of(Api api) noexcept {
  const std::uint32_t read = bit(Name::kModel) | bit(Name::kMessages) | bit(Name::kSystem) | bit(Name::kTools);
  return api == Api::kMessages ? read | bit(Name::kMaxTokens) | bit(Name::kStream) | bit(Name::kThinking) : read;
}

// One walk over one body.
class Walk final {
 public:
  Walk(ondemand::parser& parser, const Endpoint& endpoint, std::string_view body) noexcept
      : reader_(parser, body), api_(api_of(endpoint)), members_(members_of(api_)) {}

  Result<CallBody> run() {
    SLUICE_TRY(reader_.read(
        call_, [this](std::string_view name, ondemand::value& value) { return read_member(name, value); }));
    if (!call_.model_member.present()) return bad("The request body has no 'model'; name the model to call.");
    if (api_ == Api::kMessages && call_.cap_count == 0)
      return bad("The request body has no 'max_tokens'; say how many tokens may be generated at most.");
    call_.prompt_estimate = (text_.bytes() + 3) / 4;
    return std::move(call_);
  }

 private:
  Status read_member(std::string_view name, ondemand::value& value) {
    for (std::size_t i = 0; i < kNameCount; ++i) {
      const auto which = static_cast<Name>(i);
      if ((members_ & bit(which)) == 0 || !equals_folded(name, kNames[i].text)) continue;
      if ((seen_ & bit(which)) != 0) return bad(kNames[i].twice);
      if (name != kNames[i].text) return bad(kNames[i].miscased);
      seen_ |= bit(which);
      return read_known(which, value);
    }
    const StateRow* const row = find_state(Spot::kTop, name);
    if (row != nullptr && wire::refers(value.raw_json_token())) return bad(row->refusal);
    return text_.walk(value, 2, Count::kNothing, spot_inside(Spot::kTop, name));
  }

  Status read_known(Name which, ondemand::value& value) {
    switch (which) {
      case Name::kModel:
        call_.model_member = reader_.member_of(token_of(value));
        return reader_.read_name(value, call_.model, "'model' must be a non-empty string of at most 256 bytes.");
      case Name::kMaxTokens:
        return read_cap(value);
      case Name::kStream:
        return BodyReader::read_flag(value, call_.stream, "'stream' must be true or false.");
      case Name::kMessages:
        return read_messages(value);
      case Name::kSystem:
        return text_.walk(value, 2, Count::kText, Spot::kParts);
      case Name::kTools:
        // Definitions of tools reach the model as text, names and all.
        return text_.walk_whole(value, 2, Spot::kTools);
      case Name::kThinking:
        return read_thinking(value);
      case Name::kCount:
        break;
    }
    return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
  }

  // 0 is a bound as any other: it fills the server's prompt cache, and nothing is generated.
  Status read_cap(ondemand::value& value) {
    constexpr const char* kWrong = "'max_tokens' must be a whole number from 0 up.";
    const std::string_view token = token_of(value);
    const Result<std::optional<double>> number = BodyReader::read_number(value, kWrong, kWrong);
    if (!number) return number.error();
    if (!number->has_value() || **number < 0) return bad(kWrong);
    if (**number > static_cast<double>(kGreatestCap))
      return bad("'max_tokens' must be a whole number of at most 9007199254740992 (2^53).");
    call_.output_cap = static_cast<std::uint64_t>(**number);
    call_.caps[call_.cap_count++] = {.name = kMaxTokens, .member = reader_.member_of(token), .value = call_.output_cap};
    return ok();
  }

  Status read_messages(ondemand::value& value) {
    const Result<ondemand::json_type> type = wire::type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::array) return bad("'messages' must be an array.");
    return text_.walk(value, 2, Count::kText, Spot::kParts);
  }

  Status read_thinking(ondemand::value& value) {
    const Result<ondemand::json_type> type = wire::type_of(value);
    if (!type) return type.error();
    if (*type != ondemand::json_type::object) return text_.walk(value, 2, Count::kNothing, Spot::kNowhere);
    ondemand::object object;
    if (value.get_object().get(object)) return bad(wire::kNotJson);
    return reader_.read_members(object, [this](std::string_view name, ondemand::value& member) {
      if (name == "budget_tokens") call_.own[kThinkingBudget] = reader_.member_of(token_of(member));
      return text_.walk(member, 3, Count::kNothing, Spot::kNowhere);
    });
  }

  BodyReader reader_;
  Api api_;
  std::uint32_t members_;
  std::uint32_t seen_ = 0;
  TextWalk text_;
  CallBody call_;
};

// Whether `token` is a number of at least `least`, in any spelling: 6000, 6e3, 6000.0. What is none is left to the server.
bool is_at_least(std::string_view token, std::uint64_t least) noexcept {
  double number = 0;
  const char* const end = token.data() + token.size();
  const auto [behind, error] = std::from_chars(token.data(), end, number);
  return error == std::errc() && behind == end && number >= static_cast<double>(least);
}

// A budget of thinking has to be below max_tokens, and at least 1,024: a smaller clamp leaves no room for any.
void clamp_thinking(const CallBody& call, std::string_view body, std::uint64_t most, WipedString& scratch,
                    dialect::Splices& splices) {
  constexpr std::uint64_t kLeastBudget = 1'024;
  const dialect::Member& budget = call.own[kThinkingBudget];
  if (!budget.present() || most <= kLeastBudget) return;
  if (!is_at_least(body.substr(budget.offset, budget.length), most)) return;
  const std::size_t begin = scratch.size();
  splices.append_number(most - 1);
  splices.add(budget, begin);
}

}  // namespace

Result<CallBody> read_call(const Endpoint& endpoint, std::string_view body, wire::Parser& parser) noexcept {
  Result<CallBody> call = Walk(parser.memory().parser, endpoint, body).run();
  parser.trim();
  return call;
}

void edit_body(const CallBody& call, std::string_view body, const dialect::Edits& edits, dialect::EditedBody& into) {
  into.scratch.clear();
  dialect::Splices splices(into.scratch);
  splices.cut_labels(call);
  splices.rename_model(call, edits.model);
  if (edits.clamp_output_to) {
    splices.clamp_caps(call, *edits.clamp_output_to);
    clamp_thinking(call, body, *edits.clamp_output_to, into.scratch, splices);
  }
  splices.write(body, into);
}

}  // namespace sluice::anthropic
