#include "dialect/usage_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::dialect {
namespace {

constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 53;

// What a member of a usage object, or of the details in it, counts.
enum class Meter : std::uint8_t {
  kPrompt,      // prompt_tokens: cached ones inside
  kInput,       // input_tokens: cached ones inside or beside
  kCompletion,  // of either spelling
  kTotal,
  kCached,         // inside the prompt
  kCacheWritten,   // inside the prompt
  kBesideRead,     // cache_read_…: beside input_tokens
  kBesideCreated,  // cache_creation_…: beside input_tokens
  kKeptAnHour,     // of these (Anthropic)
  kReasoning,
  kAudioInput,
  kAudioOutput,
  kSearches,  // by the model server: of the web, or in documents
  kSeconds,   // of sound, begun ones included
  kCount,
};

struct MeterName {
  std::string_view name;
  Meter meter;
};

constexpr MeterName kMeterNames[] = {
    {"prompt_tokens", Meter::kPrompt},
    {"input_tokens", Meter::kInput},
    {"completion_tokens", Meter::kCompletion},
    {"output_tokens", Meter::kCompletion},
    {"total_tokens", Meter::kTotal},
    {"cached_tokens", Meter::kCached},            // OpenAI's details; Moonshot, Together: beside the others
    {"prompt_cache_hit_tokens", Meter::kCached},  // DeepSeek
    {"num_cached_tokens", Meter::kCached},        // Mistral
    {"cached_input_tokens", Meter::kCached},
    {"cached_prompt_tokens", Meter::kCached},
    {"cached_content_token_count", Meter::kCached},  // Gemini
    {"cache_write_tokens", Meter::kCacheWritten},    // OpenAI's details, OpenRouter
    {"cache_write_input_tokens", Meter::kCacheWritten},
    {"reasoning_tokens", Meter::kReasoning},  // OpenAI's details; SGLang, Perplexity: beside the others
    {"reasoning_output_tokens", Meter::kReasoning},
    {"thinking_tokens", Meter::kReasoning},       // Anthropic
    {"thoughts_token_count", Meter::kReasoning},  // Gemini
    {"search_units", Meter::kSearches},           // Cohere
    {"seconds", Meter::kSeconds},                 // {"type":"duration"}
    {"prompt_audio_seconds", Meter::kSeconds},    // Mistral
};

// Names that are used in details alone.
constexpr MeterName kDetailNames[] = {
    {"cache_read", Meter::kCached},  // LangChain
    {"cache_creation", Meter::kCacheWritten}, {"cached", Meter::kCached},
    {"reasoning", Meter::kReasoning},         {"thinking", Meter::kReasoning},
};

// Which side details are of, as their name says.
Meter audio_of(std::string_view details) noexcept {
  if (details.starts_with("prompt_") || details.starts_with("input_")) return Meter::kAudioInput;
  if (details.starts_with("completion_") || details.starts_with("output_")) return Meter::kAudioOutput;
  return Meter::kCount;
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// The number in a value of any spelling; none: it is not a count. A fraction is cut off.
std::optional<std::uint64_t> count_of(std::string_view value) noexcept {
  if (wire::is_string(value)) {
    value = wire::unquoted(value);
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
  }
  constexpr std::size_t kPlainDigits = 15;  // below kMostTokens
  if (value.size() <= kPlainDigits && std::ranges::all_of(value, is_digit)) {
    std::uint64_t number = 0;
    for (const char c : value) number = 10 * number + static_cast<std::uint64_t>(c - '0');
    return value.empty() ? std::nullopt : std::optional(number);
  }
  if (value.empty() || !is_digit(value.front())) return std::nullopt;
  const char* const end = value.data() + value.size();
  double number = 0;
  const auto [behind, error] = std::from_chars(value.data(), end, number);
  if (behind != end) return std::nullopt;
  if (error == std::errc::result_out_of_range) {  // beyond a double at either end
    return value.find("e-") == std::string_view::npos && value.find("E-") == std::string_view::npos ? kMostTokens : 0;
  }
  if (error != std::errc()) return std::nullopt;
  return number >= static_cast<double>(kMostTokens) ? kMostTokens : static_cast<std::uint64_t>(number);
}

// Whether something but zeros stands behind the point.
bool has_fraction(std::string_view value) noexcept {
  const std::size_t point = std::min(value.find('.'), value.size());
  return value.substr(point).find_first_of("123456789") != std::string_view::npos;
}

class Counts final {
 public:
  void read_member(const wire::SkimMember& member) noexcept {
    std::array<char, 64> scratch;
    const std::string_view name = wire::plain_name(member.name, scratch);
    if (name.ends_with("_details")) return read_details(member.value, audio_of(name));
    if (name == "server_tool_use") return note(Meter::kSearches, wire::skim_find(member.value, "web_search_requests"));
    if (name == "iterations") return read_iterations(member.value);
    if (name == "cache_creation")
      return note(Meter::kKeptAnHour, wire::skim_find(member.value, "ephemeral_1h_input_tokens"));
    if (name.starts_with("cache_read_")) return note(Meter::kBesideRead, member.value);
    if (name.starts_with("cache_creation_")) return note(Meter::kBesideCreated, member.value);
    note(meter_of(name, kMeterNames), member.value);
  }

  [[nodiscard]] std::optional<UsageReading> sum(Tokens tokens) noexcept {
    UsageReading reading;
    Usage& usage = reading.usage;
    const std::uint64_t total = of(Meter::kTotal);
    usage.completion_tokens = of(Meter::kCompletion);
    usage.prompt_tokens = std::max(of(Meter::kPrompt), whole_input());
    usage.cached_tokens = std::max(of(Meter::kCached), of(Meter::kBesideRead));
    usage.cache_write_tokens = written();
    usage.reasoning_tokens = of(Meter::kReasoning);
    usage.searches = of(Meter::kSearches);
    usage.seconds = of(Meter::kSeconds);
    if (total > usage.total()) reading.doubt = place(total - usage.total(), usage);
    const bool others = tokens == Tokens::kMayLack && (usage.searches != 0 || usage.seconds != 0);
    if (usage.total() == 0 && beside_.total() == 0 && !others) return std::nullopt;
    usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
    usage.cache_write_tokens = std::min(usage.cache_write_tokens, usage.prompt_tokens);
    usage.cache_write_1h_tokens = std::min(of(Meter::kKeptAnHour), usage.cache_write_tokens);
    usage.audio_input_tokens = std::min(of(Meter::kAudioInput), usage.prompt_tokens);
    usage.reasoning_tokens = std::min(usage.reasoning_tokens, usage.completion_tokens);
    usage.audio_output_tokens = std::min(of(Meter::kAudioOutput), usage.completion_tokens);
    usage.source = UsageSource::kMeasured;
    add_beside(usage);
    return reading;
  }

 private:
  [[nodiscard]] std::uint64_t of(Meter meter) const noexcept { return counts_[static_cast<std::size_t>(meter)]; }
  [[nodiscard]] std::uint64_t written() const noexcept {
    return std::max(of(Meter::kCacheWritten), of(Meter::kBesideCreated));
  }
  [[nodiscard]] bool said(Meter meter) const noexcept { return said_[static_cast<std::size_t>(meter)]; }

  void note(Meter meter, std::string_view value) noexcept {
    const std::optional<std::uint64_t> count = meter == Meter::kCount ? std::nullopt : count_of(value);
    if (!count) return;
    const auto i = static_cast<std::size_t>(meter);
    said_[i] = true;
    const bool begun = meter == Meter::kSeconds && has_fraction(value);
    counts_[i] = std::max(counts_[i], *count + (begun ? 1 : 0));
  }

  // The steps of a call (Anthropic). Those that summarised the conversation, and those of an advisor, are not in the
  // counts beside.
  void read_iterations(std::string_view list) noexcept {
    wire::Skimmer skimmer(list);
    if (skimmer.open('[') != wire::Skim::kMember) return;
    for (std::string_view step; skimmer.element(step) == wire::Skim::kMember;) {
      const std::string_view type = wire::skim_find(step, "type");
      if (type != "\"compaction\"" && type != "\"advisor_message\"") continue;
      Counts counts;
      wire::Skimmer members(step);
      wire::SkimMember member;
      if (members.open('{') != wire::Skim::kMember) continue;
      while (members.member(member) == wire::Skim::kMember) {
        if (member.value.front() != '[') counts.read_member(member);  // no steps in a step
      }
      const std::optional<UsageReading> read = counts.sum(Tokens::kNeeded);
      if (!read) continue;
      beside_.prompt_tokens += read->usage.prompt_tokens;
      beside_.cached_tokens += read->usage.cached_tokens;
      beside_.cache_write_tokens += read->usage.cache_write_tokens;
      beside_.cache_write_1h_tokens += read->usage.cache_write_1h_tokens;
      beside_.completion_tokens += read->usage.completion_tokens;
    }
  }

  void add_beside(Usage& usage) const noexcept {
    usage.prompt_tokens = std::min(usage.prompt_tokens + beside_.prompt_tokens, kMostTokens);
    usage.cached_tokens = std::min(usage.cached_tokens + beside_.cached_tokens, usage.prompt_tokens);
    usage.cache_write_tokens = std::min(usage.cache_write_tokens + beside_.cache_write_tokens, usage.prompt_tokens);
    usage.cache_write_1h_tokens =
        std::min(usage.cache_write_1h_tokens + beside_.cache_write_1h_tokens, usage.cache_write_tokens);
    usage.completion_tokens = std::min(usage.completion_tokens + beside_.completion_tokens, kMostTokens);
  }

  // What details tell is inside of what they are details of; of their own sums nothing is taken.
  void read_details(std::string_view object, Meter audio) noexcept {
    wire::Skimmer skimmer(object);
    if (skimmer.open('{') != wire::Skim::kMember) return;
    std::array<char, 64> scratch;
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      const std::string_view name = wire::plain_name(member.name, scratch);
      if (name == "audio_tokens" || name == "audio") {  // OpenAI, LangChain
        note(audio, member.value);
        continue;
      }
      const Meter meter = name.starts_with("cache_read_")       ? Meter::kCached
                          : name.starts_with("cache_creation_") ? Meter::kCacheWritten
                                                                : meter_of(name, kMeterNames);
      note(is_part(meter) ? meter : meter_of(name, kDetailNames), member.value);
    }
  }

  static Meter meter_of(std::string_view name, std::span<const MeterName> names) noexcept {
    const auto row = std::find_if(names.begin(), names.end(), [&](const MeterName& r) { return r.name == name; });
    return row == names.end() ? Meter::kCount : row->meter;
  }
  static bool is_part(Meter meter) noexcept {
    return meter == Meter::kCached || meter == Meter::kCacheWritten || meter == Meter::kReasoning;
  }

  // input_tokens with what stands beside it, unless the total says that this is inside.
  [[nodiscard]] std::uint64_t whole_input() const noexcept {
    const std::uint64_t input = of(Meter::kInput);
    const std::uint64_t beside = of(Meter::kBesideRead) + of(Meter::kBesideCreated);
    const std::uint64_t total = of(Meter::kTotal);
    if (!said(Meter::kInput) && said(Meter::kPrompt)) return 0;
    if (total != 0 && input != 0) {
      if (total == input + of(Meter::kCompletion)) return input;
      // Where the output is not told, a total that has no room for what stands beside.
      if (!said(Meter::kCompletion) && total >= input && total < input + beside) return input;
    }
    return input + beside;
  }

  // Gives the side that misses it what the total has more than the parts.
  [[nodiscard]] UsageDoubt place(std::uint64_t gap, Usage& usage) const noexcept {
    const bool prompt_said = usage.prompt_tokens != 0 || said(Meter::kPrompt) || said(Meter::kInput);
    if (!prompt_said || !said(Meter::kCompletion)) {
      (prompt_said ? usage.completion_tokens : usage.prompt_tokens) += gap;
      return UsageDoubt::kNone;
    }
    if (usage.seconds != 0) {  // Mistral: of sound the total alone tells
      usage.prompt_tokens += gap;
      return UsageDoubt::kNone;
    }
    const std::uint64_t cached = usage.cached_tokens;
    const std::uint64_t written = usage.cache_write_tokens;
    for (const std::uint64_t reasoning : {std::uint64_t{0}, usage.reasoning_tokens}) {
      for (const std::uint64_t prompt : {cached, cached + written, written, std::uint64_t{0}}) {
        if (prompt + reasoning != gap) continue;
        usage.prompt_tokens += prompt;
        usage.completion_tokens += reasoning;
        return UsageDoubt::kNone;
      }
    }
    if (usage.prompt_tokens != 0 && usage.completion_tokens != 0) return UsageDoubt::kTotal;
    (usage.prompt_tokens == 0 ? usage.prompt_tokens : usage.completion_tokens) += gap;
    return UsageDoubt::kNone;
  }

  std::array<std::uint64_t, static_cast<std::size_t>(Meter::kCount)> counts_{};
  std::array<bool, static_cast<std::size_t>(Meter::kCount)> said_{};
  Usage beside_;  // of steps that the counts do not hold
};

}  // namespace

std::optional<UsageReading> read_usage(std::string_view object, Tokens tokens) noexcept {
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return std::nullopt;
  Counts counts;
  wire::SkimMember member;
  wire::Skim step = wire::Skim::kMember;
  while ((step = skimmer.member(member)) == wire::Skim::kMember) counts.read_member(member);
  if (step == wire::Skim::kMalformed) return std::nullopt;
  return counts.sum(tokens);
}

std::optional<UsageReading> read_seconds(std::string_view number) noexcept {
  const std::optional<std::uint64_t> whole = count_of(number);
  if (!whole) return std::nullopt;
  const std::uint64_t seconds = *whole + (has_fraction(number) ? 1 : 0);
  if (seconds == 0) return std::nullopt;
  return UsageReading{.usage = {.source = UsageSource::kMeasured, .seconds = seconds}};
}

Usage with_meters_of(const Usage& told, const Usage& counted) noexcept {
  Usage usage = counted;
  usage.source = UsageSource::kMeasured;
  usage.searches = told.searches;
  if (told.seconds == 0) return usage;
  usage.seconds = told.seconds;
  usage.prompt_tokens = told.seconds * kTokensPerSecond;
  return usage;
}

}  // namespace sluice::dialect
