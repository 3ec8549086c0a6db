// Token counts out of a usage object: one rule for every spelling that servers use, whatever their dialect.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "base/usage.h"

namespace sluice::dialect {

// What is odd about the usage that an upstream told: a line of the log, once for each place and model.
enum class UsageDoubt : std::uint8_t {
  kNone,
  kTotal,  // total_tokens says more than the parts, and nothing explains the gap; the parts were taken
  kClaim,  // more than the call can have used: not believed, what passed was counted instead
};

struct UsageReading {
  Usage usage;  // kMeasured
  UsageDoubt doubt = UsageDoubt::kNone;
};

// `object` is the text of a usage object. The rule:
//  - A count is a number in any spelling, or a string of one; what is negative or no number is absent, what is beyond
//    2^53 is 2^53. Names may be escaped, and a value that is not JSON (NaN) spoils nothing but itself.
//  - prompt_tokens holds its cached tokens. input_tokens does too where total_tokens is input and output; else what
//    stands beside it as cache_read_… and cache_creation_… is added. Of two spellings the larger counts.
//  - A side that is absent is the total without the other. A gap between parts and total that is as large as the cached
//    tokens belongs to the prompt, one as large as the reasoning to the completion, and one beside a side of 0 to that;
//    beside seconds of sound any belongs to the prompt. Any other is left (UsageDoubt::kTotal). A total below its parts is ignored.
//  - What a summary of the conversation or an advisor used (steps in `iterations`) is added; searches are counted: of the
//    web, and a reranker's search units.
// None: null, not an object, or no tokens, which is how some servers say that they have not counted; with kMayLack a
// reading without tokens (usage.total() is 0) where another meter was told: searches, or seconds of sound.
enum class Tokens : std::uint8_t { kNeeded, kMayLack };
[[nodiscard]] std::optional<UsageReading> read_usage(std::string_view object, Tokens tokens = Tokens::kNeeded) noexcept;

// The same of a text that is a number of seconds of sound; none: it is no count.
[[nodiscard]] std::optional<UsageReading> read_seconds(std::string_view number) noexcept;

// What a second of sound counts as, in tokens of a prompt, where a server tells seconds alone: what models that count
// tokens make of one.
inline constexpr std::uint64_t kTokensPerSecond = 10;

// `counted` with the tokens that were counted here, and what else was told.
[[nodiscard]] Usage with_meters_of(const Usage& told, const Usage& counted) noexcept;

// The most that a call can have used, in tokens; of sound also in seconds.
struct ClaimLimit {
  std::uint64_t prompt = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t completion = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t seconds = std::numeric_limits<std::uint64_t>::max();
  [[nodiscard]] bool allows(const Usage& usage) const noexcept {
    return usage.prompt_tokens <= prompt && usage.completion_tokens <= completion && usage.seconds <= seconds;
  }
};

}  // namespace sluice::dialect
