#include "proxy/doubts.h"

#include <xxhash.h>

namespace sluice::proxy {

void Doubts::tell(dialect::UsageDoubt doubt, std::string_view place, std::string_view model, const Usage& told,
                  const dialect::ClaimLimit& limit) noexcept {
  if (doubt == dialect::UsageDoubt::kNone) return;
  const std::uint64_t seed = XXH3_64bits_withSeed(place.data(), place.size(), static_cast<std::uint64_t>(doubt));
  if (remember(XXH3_64bits_withSeed(model.data(), model.size(), seed)) == Told::kAgain) return;
  if (doubt == dialect::UsageDoubt::kTotal) {
    log_.warn("usage of a model server adds up to less than its total_tokens; its parts are charged",
              {{"upstream", place},
               {"model", model},
               {"prompt_tokens", told.prompt_tokens},
               {"completion_tokens", told.completion_tokens}});
    return;
  }
  log_.warn(
      "usage of a model server is beyond what the call can have used: not believed, what passed is charged; if it is "
      "right, raise [ledger] max_claim",
      {{"upstream", place},
       {"model", model},
       {"prompt_tokens", told.prompt_tokens},
       {"most_prompt_tokens", limit.prompt},
       {"completion_tokens", told.completion_tokens},
       {"most_completion_tokens", limit.completion}});
}

void Doubts::tell_left_out(std::string_view request_id, std::size_t most) noexcept {
  if (left_out_told_.load(std::memory_order_relaxed) || left_out_told_.exchange(true)) return;
  log_.warn("a call has more headers to pass on than go upstream; the rest is left out, here and in later calls",
            {{"request_id", request_id}, {"passed", most}});
}

Doubts::Told Doubts::remember(std::uint64_t hash) noexcept {
  constexpr std::size_t kProbes = 16;
  if (hash == 0) hash = 1;
  for (std::size_t i = 0; i < kProbes; ++i) {
    std::uint64_t seen = 0;
    std::atomic<std::uint64_t>& cell = logged_[(hash + i) % logged_.size()];
    if (cell.compare_exchange_strong(seen, hash, std::memory_order_relaxed)) return Told::kFirst;
    if (seen == hash) return Told::kAgain;
  }
  return Told::kAgain;
}

}  // namespace sluice::proxy
