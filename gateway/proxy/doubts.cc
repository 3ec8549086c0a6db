#include "proxy/doubts.h"

#include <xxhash.h>

namespace sluice::proxy {
namespace {

// What the operator looks at, in the words of the conf.
const char* where_to_look(const upstream::Place& place) noexcept {
  if (std::string_view(place.kind()) == "agent")
    return "a model server refuses the gateway's credentials: the agent before it shows them; check --backend-key of "
           "`sluice agent run`";
  if (place.secret().empty())
    return "a model server refuses the gateway's credentials: it is shown none; give its [[upstream]] an api_key";
  return "a model server refuses the gateway's credentials; check api_key and credential of its [[upstream]], and the "
         "account with it";
}

}  // namespace

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

void Doubts::tell_turned_away(std::string_view listener) noexcept {
  constexpr std::uint64_t kSeed = 0x7475726e;  // apart from what is told of usage
  if (remember(XXH3_64bits_withSeed(listener.data(), listener.size(), kSeed)) == Told::kAgain) return;
  log_.warn(
      "an agent dials a listener that takes no agents and is turned away; set tunnels in its [[listener]], or give the "
      "agent the address of another",
      {{"listener", listener}});
}

void Doubts::tell_refused_credentials(const upstream::Place& place, unsigned status, MonoTime now) noexcept {
  const std::string_view name = place.name();
  std::atomic<MonoTime::rep>& next = next_told_of(XXH3_64bits(name.data(), name.size()));
  MonoTime::rep due = next.load(std::memory_order_relaxed);
  const MonoTime::rep after = (now + std::chrono::minutes(1)).time_since_epoch().count();
  if (now.time_since_epoch().count() < due || !next.compare_exchange_strong(due, after, std::memory_order_relaxed))
    return;
  const bool shown = !place.secret().empty() && !place.headers().empty();
  log_.error(where_to_look(place), {{"upstream", name},
                                    {"status", status},
                                    {"shown_in", shown ? place.headers().front().name : std::string_view()}});
}

std::atomic<MonoTime::rep>& Doubts::next_told_of(std::uint64_t place) noexcept {
  constexpr std::size_t kProbes = 16;
  if (place == 0) place = 1;
  for (std::size_t i = 0; i < kProbes; ++i) {
    std::uint64_t seen = 0;
    Refusing& cell = refusing_[(place + i) % refusing_.size()];
    if (cell.place.compare_exchange_strong(seen, place, std::memory_order_relaxed) || seen == place) return cell.next;
  }
  return refusing_[place % refusing_.size()].next;
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
