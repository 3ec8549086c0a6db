// What one call used, by meter, as plain numbers: nothing of a prompt or an answer can be reached from here.
#pragma once

#include <cstdint>

namespace sluice {

// Where the numbers come from. Zero measured tokens and "nobody knows" are different things.
enum class UsageSource : std::uint8_t {
  kNone,       // nothing was generated or nothing is known
  kEstimated,  // counted from what passed
  kMeasured,   // the upstream said so
};

// Every meter has its price in Price, a field in the journal's record and a column in the store.
struct Usage {
  UsageSource source = UsageSource::kNone;
  std::uint64_t prompt_tokens = 0;          // all that the model read
  std::uint64_t cached_tokens = 0;          // part of prompt_tokens: read from a cache
  std::uint64_t completion_tokens = 0;      // all that the model wrote
  std::uint64_t reasoning_tokens = 0;       // part of completion_tokens
  std::uint64_t cache_write_tokens = 0;     // part of prompt_tokens: written to a cache
  std::uint64_t cache_write_1h_tokens = 0;  // part of cache_write_tokens: to be kept for an hour
  std::uint64_t audio_input_tokens = 0;     // part of prompt_tokens
  std::uint64_t audio_output_tokens = 0;    // part of completion_tokens
  std::uint64_t images = 0;                 // made
  std::uint64_t seconds = 0;                // of audio or video, begun ones included
  std::uint64_t characters = 0;             // spoken
  std::uint64_t searches = 0;               // by the model server: of the web, or in documents (a reranker's units)

  // Tokens, as limits and budgets count them.
  [[nodiscard]] std::uint64_t total() const noexcept { return prompt_tokens + completion_tokens; }
};

// How a call ended. Every call has exactly one.
enum class EndReason : std::uint8_t {
  kCompleted,
  kRefused,         // a policy, a limit or a budget said no; nothing was sent
  kInvalid,         // the request was at fault; nothing was sent
  kClientGone,      // the client left before the end
  kUpstreamError,   // the upstream answered with an error before its stream began
  kUpstreamFailed,  // the upstream died, broke its protocol or ended without an end
  kUnavailable,     // no upstream could be reached in time
  kTimeout,
  kBudgetCut,   // a budget ended the stream cleanly
  kRevoked,     // the key was revoked while the call ran
  kDrained,     // the grace period of a drain was over
  kFault,       // a bug of ours
  kCrashed,     // found without an end in the journal after a crash
  kIncomplete,  // the answer is whole, and says of itself that it is not: a Response that met its cap or a filter
  kBackground,  // the answer said that its place goes on by itself: what that uses, another record says
};

[[nodiscard]] const char* to_string(UsageSource source) noexcept;  // "none" "estimated" "measured"
[[nodiscard]] const char* to_string(EndReason reason) noexcept;    // "completed", "client_gone", …

}  // namespace sluice
