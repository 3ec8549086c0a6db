// What is believed of the usage that a model server tells, and what is counted in its stead.
#include <algorithm>

#include "ledger/price.h"
#include "proxy/exchange.h"

namespace sluice::proxy {

// The most that the call can have used: a prompt no longer than the model's context, an output within the cap that was
// sent. Bytes bound no prompt, because images, files and stored context cost tokens without any.
dialect::ClaimLimit Exchange::claim_limit() const noexcept {
  const std::uint64_t context = lease_->context_length(called(*lease_));
  const std::uint64_t most = conf_->settings.max_claim;
  const auto times = [](std::uint64_t tokens, std::uint64_t n) { return std::min(tokens, std::uint64_t{1} << 40) * n; };
  const dialect::CallBody& asked = spoken().asked;
  dialect::ClaimLimit limit{.prompt = most, .completion = most};
  if (endpoint().work == dialect::Work::kMake) {  // servers cut sound into contexts
    limit.seconds = asked_.most_seconds;
    return limit;
  }
  if (context != 0) limit = {.prompt = times(context, asked.prompts), .completion = times(context, asked.choices)};
  if (const std::optional<std::uint64_t> cap = dialect::cap_sent(asked, clamp()))
    limit.completion = times(*cap, asked.choices);
  return limit;
}

// A model writes what it searches for; a reranker's units are documents, or parts of long ones.
static std::uint64_t most_searches(const dialect::Endpoint& endpoint, const dialect::CallBody& asked,
                                   const dialect::ClaimLimit& limit) noexcept {
  return endpoint.work == dialect::Work::kEmbed ? asked.prompts + asked.prompt_estimate : limit.completion;
}

// What outcome_ holds until now is our own count: it stays where the upstream is not believed.
void Exchange::take_usage(dialect::UsageReading told) noexcept {
  const dialect::ClaimLimit limit = claim_limit();
  if (!limit.allows(told.usage)) told.doubt = dialect::UsageDoubt::kClaim;
  told.usage.searches = std::min(told.usage.searches, most_searches(endpoint(), spoken().asked, limit));
  if (told.doubt != dialect::UsageDoubt::kClaim)
    outcome_.usage = told.usage.total() != 0 ? told.usage : dialect::with_meters_of(told.usage, outcome_.usage);
  tell_doubt(told);
}

void Exchange::take_usage(const dialect::EventFilter& filter) noexcept {
  outcome_.usage = filter.usage(call_.prompt_estimate);
  const std::uint64_t most = most_searches(endpoint(), spoken().asked, claim_limit());
  outcome_.usage.searches = std::min(outcome_.usage.searches, most);
  add_prompt_untold();
  if (filter.told()) tell_doubt(*filter.told());
}

// Some servers tell what was written and not what was read. A model has read its prompt all the same.
void Exchange::add_prompt_untold() noexcept {
  Usage& usage = outcome_.usage;
  if (usage.source != UsageSource::kMeasured || usage.prompt_tokens != 0 || call_.prompt_estimate == 0) return;
  usage.prompt_tokens = std::min(call_.prompt_estimate, claim_limit().prompt);
  usage.source = UsageSource::kEstimated;
}

void Exchange::tell_doubt(const dialect::UsageReading& told) const noexcept {
  if (told.doubt == dialect::UsageDoubt::kNone || worker_.doubts == nullptr) return;
  worker_.doubts->tell(told.doubt, place_name_, call_.model, told.usage, claim_limit());
}

// Our own count of what an answer that is walked as a whole has let pass.
Usage Exchange::own_count() const noexcept {
  // A batch that has ended at once has made nothing; else somebody may have begun to make it.
  const bool begun = endpoint().work == dialect::Work::kBatch && (!walk_ || !walk_->is_answer());
  if (endpoint().work == dialect::Work::kCount || (is_about_kept(endpoint()) && !begun)) return {};
  constexpr std::uint64_t kBytesPerToken = 4;
  Usage usage{.source = UsageSource::kEstimated, .prompt_tokens = call_.prompt_estimate};
  if (walk_ && call_.output_cap != 0)
    usage.completion_tokens =
        std::min((walk_->text_bytes() + kBytesPerToken - 1) / kBytesPerToken, claim_limit().completion);
  return usage;
}

// What is counted here whatever is told: what was to be spoken or heard, and images that were made, as many as were asked
// for at most. Where their tokens are not told, they are what was expected.
void Exchange::count_meters() noexcept {
  Usage& usage = outcome_.usage;
  if (usage.source == UsageSource::kNone || endpoint().work != dialect::Work::kMake) return;
  usage.characters = asked_.characters;
  if (usage.seconds == 0) usage.seconds = asked_.sound_seconds;
  usage.images = std::min(filter_ ? filter_->images() : walk_ ? walk_->images() : 0, asked_.choices);
  if (usage.source == UsageSource::kEstimated && usage.images != 0)
    usage.completion_tokens = usage.images * asked_.output_estimate;
}

// What the place that answered takes for the call. Of one that only knows a share of what is charged, that of a model
// without a price is not known.
void Exchange::note_upstream_cost() noexcept {
  if (!lease_ || !upstream_ || kept_on_) return;
  const upstream::PlaceCost place = lease_->cost(called(*lease_));
  const Price& price = place.price != nullptr ? *place.price : call_.ticket.price;
  if (!place.percent || (place.price == nullptr && *place.percent != 0 && ledger::is_free(price))) return;
  const std::uint64_t micros = ledger::cost(price, outcome_.usage, call_.ticket.price_class);
  outcome_.upstream_cost_micros = static_cast<std::int64_t>(ledger::percent_of(micros, *place.percent));
}

void Exchange::take_walked_usage() noexcept {
  outcome_.usage = own_count();
  if (!walk_) return;
  if (const std::optional<dialect::UsageReading> told = walk_->told()) take_usage(*told);
  add_prompt_untold();
}

// Of an answer that is none: what it says itself, and nothing of our own.
void Exchange::take_said_usage() noexcept {
  outcome_.usage = filter_ ? filter_->usage(0) : Usage{};
  if (!filter_ && walk_) {
    if (const std::optional<dialect::UsageReading> told = walk_->told()) take_usage(*told);
  }
  if (outcome_.usage.source != UsageSource::kMeasured) outcome_.usage = {};
}

// Looks at what has arrived of an answer and was not looked at before.
void Exchange::walk_arrived() {
  if (!walk_) walk_ = spoken().dialect.walk(spoken().endpoint);
  walk_->take(upstream_->body().view().substr(walked_bytes_));
  walked_bytes_ = upstream_->body().size();
}

}  // namespace sluice::proxy
