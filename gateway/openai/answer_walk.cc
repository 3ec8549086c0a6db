#include "openai/answer_walk.h"

#include <algorithm>
#include <cstring>

#include "openai/chunk.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::openai {
namespace {

constexpr std::size_t kMostUsageBytes = 64u << 10;  // a longer usage object is none
constexpr std::uint32_t kMemberNameBytes = 64;      // of a member's name
constexpr std::uint32_t kTrackedLevels = 64;

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_mark(char c) noexcept { return c == '\xEF' || c == '\xBB' || c == '\xBF'; }  // the bytes of a BOM

}  // namespace

void AnswerWalk::take(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  capture_from_ = at;
  while (at != end && form_ != Form::kBroken) {
    if (string_.is_open()) {
      at = through_string(at, end);
    } else if (skips()) {
      at = through_skipped(at, end);
    } else if (depth_ != 0) {
      at = through_structure(at, end);
    } else if (*at == '{' || (*at == '[' && may_be_array())) {
      open(at++);
    } else {
      around(*at++);
    }
  }
  if (capture_ == nullptr) return;
  captured_.append({capture_from_, static_cast<std::size_t>(end - capture_from_)});
  if (captured_.size() > kMostUsageBytes) {
    captured_.release();
    capture_ = nullptr;
  }
}

std::optional<UsageReading> AnswerWalk::told() const noexcept {
  if (endpoint_.work == dialect::Work::kStored) return std::nullopt;  // it is charged where it was made
  if (!own_ && !duration_.empty()) return dialect::read_seconds(duration_);
  std::optional<UsageReading> told = own_ ? own_ : choices_ ? choices_ : groq_ ? groq_ : tokens_ ? tokens_ : billed_;
  if (told && billed_) told->usage.searches = std::max(told->usage.searches, billed_->usage.searches);
  if (told && endpoint_.work == dialect::Work::kEmbed) {
    Usage& usage = told->usage;
    if (usage.prompt_tokens == 0) usage.prompt_tokens = usage.completion_tokens;
    usage.completion_tokens = usage.reasoning_tokens = usage.audio_output_tokens = 0;
  }
  return told;
}

// A byte before the object or behind it.
void AnswerWalk::around(char c) noexcept {
  if (!is_space(c) && (form_ != Form::kOpen || !is_mark(c))) form_ = Form::kBroken;
}

// Members and elements, up to a bracket: behind it other rules may hold.
const char* AnswerWalk::through_structure(const char* at, const char* end) {
  while (at != end) {
    const char c = *at++;
    switch (c) {
      case '"':
        at = take_string(at, end);
        if (string_.is_open()) return at;
        break;
      case '{':
      case '[':
        open(at - 1);
        return at;
      case '}':
      case ']':
        close(c);
        return at;
      case ':':
        after_colon_ = true;
        break;
      case ',':
        end_value();
        break;
      default:
        if (key_ == Key::kDuration) note_duration({at - 1, 1});
        break;
    }
  }
  return at;
}

bool AnswerWalk::at_name() const noexcept {
  const bool object = depth_ > kTrackedLevels || ((objects_ >> (depth_ - 1)) & 1U) != 0;
  return object && !after_colon_;
}

void AnswerWalk::end_value() {
  after_colon_ = false;
  key_ = Key::kOther;
}

// --- strings

// Most strings are whole and without an escape: these are taken as they stand.
const char* AnswerWalk::take_string(const char* at, const char* end) {
  const char* const stop = wire::find_quote_or_backslash(at, end);
  if (stop != end && *stop == '"') {
    end_string({at, static_cast<std::size_t>(stop - at)}, stop - at);
    return stop + 1;
  }
  begin_string();
  return through_string(at, end);
}

void AnswerWalk::begin_string() noexcept {
  const bool kept = (depth_ == 1 &&
                     (key_ == Key::kModel || key_ == Key::kObject || key_ == Key::kStatus || key_ == Key::kDuration)) ||
                    (!at_name() && is_id());
  string_.begin(at_name() ? kMemberNameBytes : kept ? wire::StringInPieces::kMostKept : 0);
}

const char* AnswerWalk::through_string(const char* at, const char* end) {
  at = string_.take(at, end);
  if (!string_.is_open() && !skips()) end_string(string_.beginning(), string_.size_bytes());
  return at;
}

// `kept`: its beginning as it stands, long enough for a name; `size_bytes` counts an escape as what it mostly stands for.
void AnswerWalk::end_string(std::string_view kept, std::int64_t size_bytes) {
  const bool as_it_stands = static_cast<std::int64_t>(kept.size()) == size_bytes;  // whole, and without an escape
  if (at_name()) {
    std::array<char, kMemberNameBytes> decoded;
    key_ = key_of(as_it_stands ? kept : wire::unescape(kept, decoded));
    return;
  }
  const bool text = (walks_whole() && key_ != Key::kNoText && key_ != Key::kId) ||
                    (depth_ == 3 && path_[2] == Node::kChoice && is_text(key_));
  if (text) text_bytes_ += static_cast<std::uint64_t>(std::max<std::int64_t>(size_bytes, 0));
  if (is_id()) {
    if (depth_ == 1 && key_ == Key::kId) {
      ids_.set_answer(kept);
      has_own_ = has_own_ || (api_of(endpoint_) != Api::kResponse && !ids_.answer().empty());
    } else {
      ids_.add_item(kept);
    }
    return;
  }
  if (depth_ != 1) return;
  if (key_ == Key::kOwnText && api_of(endpoint_) == Api::kTranscription) {
    has_own_ = true;
    text_bytes_ += static_cast<std::uint64_t>(std::max<std::int64_t>(size_bytes, 0));
  } else if (key_ == Key::kDuration) {
    note_duration(kept);
  } else if (key_ == Key::kModel) {
    std::array<char, 256> decoded;
    model_.assign(wire::unescape(kept, decoded));
  } else if (key_ == Key::kError || (key_ == Key::kObject && kept == "error")) {
    says_error_ = says_error_ || size_bytes > 0;
  } else if (key_ == Key::kObject) {
    is_kept_response_ = api_of(endpoint_) == Api::kStored && kept == "response";
  } else if (key_ == Key::kStatus) {
    ending_ = kept == "failed"                              ? Ending::kFailed
              : kept == "incomplete" || kept == "cancelled" ? Ending::kIncomplete
                                                            : Ending::kComplete;
    runs_on_ = kept == "queued" || kept == "in_progress";
    if (api_of(endpoint_) == Api::kBatch) {
      runs_on_ = runs_on_ || kept == "validating" || kept == "finalizing" || kept == "cancelling";
      if (kept == "expired") ending_ = Ending::kIncomplete;
    }
  }
}

// How long the sound was that verbose_json tells: a number, which may come in pieces, or of old servers a string of one.
void AnswerWalk::note_duration(std::string_view digits) {
  constexpr std::size_t kMostDigits = 32;
  const bool told = depth_ == 1 && after_colon_ && api_of(endpoint_) == Api::kTranscription;
  if (told && !digits.empty() && !is_space(digits.front()) && duration_.size() + digits.size() <= kMostDigits)
    duration_ += digits;
}

// The id of a response, or of an item right inside its output: {"id":"…","output":[{"id":"…"}]}. Of a file, or of a batch
// and the files that it has made: {"id":"…","output_file_id":"…","error_file_id":"…"}.
bool AnswerWalk::is_id() const noexcept {
  const Api api = api_of(endpoint_);
  if (api == Api::kFile || api == Api::kBatch)
    return depth_ == 1 && (key_ == Key::kId || (key_ == Key::kMadeFile && api == Api::kBatch));
  if (key_ != Key::kId || api != Api::kResponse) return false;
  return depth_ == 1 || (depth_ == 3 && below_from_ == 2 && below_ == Node::kText);
}

AnswerWalk::Key AnswerWalk::key_of(std::string_view name) noexcept {
  const auto is = [name]<std::size_t N>(const char(&other)[N]) { return std::memcmp(name.data(), other, N - 1) == 0; };
  switch (name.size()) {  // first: most names of an answer mean nothing here
    case 2:
      return is("id") ? Key::kId : Key::kOther;
    case 4:
      return is("data")                 ? Key::kData
             : is("meta")               ? Key::kMeta
             : is("text")               ? Key::kOwnText
             : is("type") || is("role") ? Key::kNoText
                                        : Key::kOther;
    case 5:
      return is("usage")   ? Key::kUsage
             : is("model") ? Key::kModel
             : is("error") ? Key::kError
             : is("delta") ? Key::kText
                           : Key::kOther;
    case 6:
      return is("output")   ? Key::kOutput
             : is("object") ? Key::kObject
             : is("status") ? Key::kStatus
             : is("x_groq") ? Key::kGroq
             : is("tokens") ? Key::kTokens
                            : Key::kOther;
    case 7:
      return is("choices")   ? Key::kChoices
             : is("message") ? Key::kText
             : is("call_id") ? Key::kNoText
             : is("results") ? Key::kResults
                             : Key::kOther;
    case 8:
      return is("duration") ? Key::kDuration : Key::kOther;
    case 12:
      return is("billed_units") ? Key::kBilled : Key::kOther;
    case 13:
      return is("error_file_id") ? Key::kMadeFile : Key::kOther;
    case 14:
      return is("output_file_id") ? Key::kMadeFile : Key::kOther;
    case 17:
      return is("encrypted_content") ? Key::kNoText : Key::kOther;
    default:
      return Key::kOther;
  }
}

// --- containers

void AnswerWalk::open(const char* bracket) {
  const Node node = child(bracket);
  if (form_ == Form::kBroken) return;
  ++depth_;
  if (depth_ <= kTrackedLevels) {
    const std::uint64_t bit = std::uint64_t{1} << (depth_ - 1);
    objects_ = *bracket == '{' ? objects_ | bit : objects_ & ~bit;
  }
  if (!walks_whole()) {
    if (node == Node::kText || node == Node::kSkipped) {
      below_ = node;
      below_from_ = depth_;
    } else {
      path_[depth_ - 1] = node;
    }
  }
  end_value();
}

void AnswerWalk::close(char bracket) {
  const bool object = depth_ > kTrackedLevels || ((objects_ >> (depth_ - 1)) & 1U) != 0;
  if (depth_ <= kTrackedLevels && object != (bracket == '}')) {
    form_ = Form::kBroken;
    return;
  }
  if (!walks_whole() && path_[depth_ - 1] == Node::kChoice && choice_) {
    add_choice(choices_, *choice_);
    choice_.reset();
  }
  --depth_;
  if (depth_ < below_from_) below_from_ = 0;
  if (depth_ == 0) form_ = Form::kWhole;
  end_value();
}

AnswerWalk::Node AnswerWalk::child(const char* bracket) {
  if (walks_whole()) return below_;
  if (depth_ == 0) {
    if (form_ != Form::kOpen) form_ = Form::kBroken;  // a second one
    has_own_ = has_own_ || *bracket == '[';
    return *bracket == '{' ? Node::kRoot : Node::kSkipped;
  }
  const bool object = *bracket == '{';
  switch (path_[depth_ - 1]) {
    case Node::kRoot:
      return child_of_root(bracket);
    case Node::kChoices:
      return object ? Node::kChoice : Node::kSkipped;
    case Node::kChoice:
      if (key_ == Key::kUsage && object) return capture(choice_, bracket);
      return is_text(key_) ? Node::kText : Node::kSkipped;
    case Node::kGroq:
      return key_ == Key::kUsage && object ? capture(groq_, bracket) : Node::kSkipped;
    case Node::kImages:
      if (object) ++images_;
      return Node::kSkipped;
    case Node::kMeta:
      if (key_ == Key::kTokens && object) return capture(tokens_, bracket);
      return key_ == Key::kBilled && object ? capture(billed_, bracket) : Node::kSkipped;
    default:
      return Node::kSkipped;
  }
}

AnswerWalk::Node AnswerWalk::child_of_root(const char* bracket) {
  const bool object = *bracket == '{';
  const Api api = api_of(endpoint_);
  switch (key_) {
    case Key::kUsage:
      return object ? capture(own_, bracket) : Node::kSkipped;
    case Key::kGroq:
      return object ? Node::kGroq : Node::kSkipped;
    case Key::kError:
      says_error_ = says_error_ || object;
      return Node::kSkipped;
    case Key::kChoices:
      has_own_ = has_own_ || (!object && (api == Api::kChat || api == Api::kCompletion));
      return object ? Node::kSkipped : Node::kChoices;
    case Key::kData:
      has_own_ = has_own_ || (!object && (api == Api::kEmbedding || api == Api::kRank || api == Api::kImage));
      return !object && api == Api::kImage ? Node::kImages : Node::kSkipped;
    case Key::kResults:
      has_own_ = has_own_ || (!object && (api == Api::kModeration || api == Api::kRank));
      return Node::kSkipped;
    case Key::kMeta:
      return object && api == Api::kRank ? Node::kMeta : Node::kSkipped;
    case Key::kOutput:
      has_own_ = has_own_ || (!object && api == Api::kResponse);
      return Node::kText;
    default:
      return Node::kSkipped;
  }
}

const char* AnswerWalk::through_skipped(const char* at, const char* end) {
  for (;;) {
    at = wire::find_quote_or_bracket(at, end);
    if (at == end) return end;
    const char c = *at++;
    if (c == '"') {
      if (const char* const behind = wire::skim_string(at, end); behind != nullptr) {
        at = behind;
        continue;
      }
      string_.begin(0);
      return at;
    }
    if (c == '{' || c == '[') {
      ++depth_;
    } else if (--depth_ < below_from_) {
      if (capture_ != nullptr) end_capture(at);
      below_from_ = 0;
      if (depth_ == 0) form_ = Form::kWhole;  // an array was all of it
      end_value();
      return at;
    }
  }
}

AnswerWalk::Node AnswerWalk::capture(std::optional<UsageReading>& into, const char* begin) noexcept {
  capture_ = &into;
  capture_from_ = begin;
  return Node::kSkipped;
}

// One that says nothing, as null and zeros do, takes nothing back.
void AnswerWalk::end_capture(const char* behind) {
  std::string_view object(capture_from_, static_cast<std::size_t>(behind - capture_from_));
  if (!captured_.empty()) {
    captured_.append(object);
    object = captured_.view();
  }
  const bool may_lack = api_of(endpoint_) == Api::kRank || endpoint_.work == dialect::Work::kMake;
  const auto needs = may_lack ? dialect::Tokens::kMayLack : dialect::Tokens::kNeeded;
  if (const std::optional<UsageReading> reading = dialect::read_usage(object, needs)) *capture_ = reading;
  captured_.clear();
  capture_ = nullptr;
}

}  // namespace sluice::openai
