#include "upstream/choice.h"

#include <algorithm>
#include <optional>

namespace sluice::upstream {
namespace {

constexpr std::uint32_t kFew = 8;     // so many places of a rank are compared with each other
constexpr std::uint32_t kDraws = 12;  // of more, two that can be used are looked for so often

}  // namespace

Choice::Choice(const KnownModel& model, std::span<const std::shared_ptr<Place>> upstreams, const Wanted& wanted,
               std::span<const Place* const> tried, std::uint64_t& random) noexcept
    : model_(model), upstreams_(upstreams), wanted_(wanted), tried_(tried), random_(random) {
  const auto found = std::ranges::find_if(model.routes, [&](const Ranks& one) { return one.is_for(wanted.tenant); });
  if (found != model.routes.end()) route_ = &*found;
}

const std::shared_ptr<Place>* Choice::place(std::uint32_t at) const noexcept {
  if (at < model_.places.size()) return &model_.places[at];
  const std::uint32_t number = model_.upstreams[at - model_.places.size()];
  return number < upstreams_.size() && upstreams_[number] ? &upstreams_[number] : nullptr;
}

Standing* Choice::standing(std::uint32_t at) const noexcept {
  return at < model_.standings.size() ? model_.standings[at].get() : nullptr;
}

MonoTime Choice::now() noexcept {
  if (now_ == MonoTime()) now_ = Mono::now();
  return now_;
}

// xorshift64*: which of several places, and no secret.
std::uint32_t Choice::dice(std::uint32_t sides) noexcept {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  const std::uint64_t high = random_ * 0x2545F4914F6CDD1DULL >> 32;
  return static_cast<std::uint32_t>(high * sides >> 32);
}

std::size_t Choice::ranks() const noexcept { return route_ == nullptr ? 1 : route_->ranks.size(); }

std::uint32_t Choice::size(std::size_t rank) const noexcept {
  const std::size_t all = model_.places.size() + model_.upstreams.size();
  return static_cast<std::uint32_t>(route_ == nullptr ? all : route_->ranks[rank].options.size());
}

std::uint32_t Choice::at(std::size_t rank, std::uint32_t option) const noexcept {
  return route_ == nullptr ? option : route_->ranks[rank].options[option].at;
}

// An option of the rank, each as likely as it weighs.
std::uint32_t Choice::draw(std::size_t rank) noexcept {
  if (route_ == nullptr || !route_->ranks[rank].weighted) return dice(size(rank));
  const auto& options = route_->ranks[rank].options;
  const auto drawn = std::ranges::upper_bound(options, dice(options.back().up_to), {}, &Ranks::Option::up_to);
  return static_cast<std::uint32_t>(drawn - options.begin());
}

Choice::Seen Choice::see(std::uint32_t at) noexcept {
  const std::shared_ptr<Place>* const found = place(at);
  if (found == nullptr || !(*found)->serves(wanted_.tenant_id)) return {};
  const Place& place = **found;
  if (!wanted_.place.empty() && place.name() != wanted_.place) return {};
  const std::uint32_t endpoint = wanted_.endpoint_at(place);
  if (endpoint == Wanted::kNone) return {place.reachable() ? Fit::kNotTaken : Fit::kNobodys, endpoint};
  if (!place.reachable()) return {Fit::kAway, endpoint};
  if (std::ranges::find(tried_, &place) != tried_.end()) return {Fit::kTried, endpoint};
  const bool full = place.free_slots() <= 0;
  const Standing* const standing = this->standing(at);
  if (standing != nullptr && !standing->breaker.well()) {
    switch (standing->breaker.gate(now(), place.healthy_at())) {
      case Breaker::Gate::kEjected:
        return {Fit::kEjected, endpoint};
      case Breaker::Gate::kHeldOff:
        return {Fit::kHeldOff, endpoint};
      case Breaker::Gate::kTrial:
        return {full ? Fit::kEjected : Fit::kTrial, endpoint};
      case Breaker::Gate::kWell:
        break;
    }
  }
  return {full ? Fit::kFull : Fit::kWell, endpoint};
}

// How long a call would wait there, as far as can be told: less is better. How full the place would be, times how soon
// its streams begin.
double Choice::cost(std::uint32_t at) noexcept {
  const Place& place = **this->place(at);
  const std::int64_t slots = std::max<std::int64_t>(place.slots(), 1);
  const std::int64_t busy = std::max(slots - place.free_slots(), place.queued());
  const Standing* const standing = this->standing(at);
  const std::uint64_t expected = standing == nullptr ? 0 : standing->first_token.expected_us(now());
  const double full = static_cast<double>(busy + 1) / static_cast<double>(slots);
  return full * static_cast<double>(std::max<std::uint64_t>(expected, 1));
}

bool Choice::grab(std::uint32_t at, Seen seen, Chosen& chosen) noexcept {
  Standing* const standing = this->standing(at);
  if (seen.fit == Fit::kTrial && !standing->breaker.begin_trial(now())) return false;
  const std::shared_ptr<Place>* const found = place(at);
  if (!(*found)->take_slot()) return false;
  chosen = {found, standing == nullptr ? nullptr : &model_.standings[at], seen.endpoint};
  return true;
}

// The better of two that are drawn; where weights say who is to get how much, the first.
bool Choice::try_drawn(std::size_t rank, Chosen& chosen) noexcept {
  const bool weighted = route_ != nullptr && route_->ranks[rank].weighted;
  std::optional<std::pair<std::uint32_t, Seen>> first;
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    const std::uint32_t drawn = at(rank, draw(rank));
    const Seen seen = see(drawn);
    if (seen.fit == Fit::kTrial && grab(drawn, seen, chosen)) return true;
    if (seen.fit != Fit::kWell || seen.endpoint != wanted_.endpoint || (first && first->first == drawn)) continue;
    if (weighted) return grab(drawn, seen, chosen);
    if (!first) {
      first.emplace(drawn, seen);
      continue;
    }
    return cost(drawn) < cost(first->first) ? grab(drawn, seen, chosen) : grab(first->first, first->second, chosen);
  }
  return first && grab(first->first, first->second, chosen);
}

// The best of few, and of many where no draw hit one: first of those that have the call's own endpoint.
bool Choice::try_rank(std::size_t rank, Chosen& chosen) noexcept {
  const std::uint32_t count = size(rank);
  const bool weighted = route_ != nullptr && route_->ranks[rank].weighted;
  if (count == 0) return false;
  if ((weighted || count > kFew) && try_drawn(rank, chosen)) return true;
  std::optional<std::pair<std::uint32_t, Seen>> best;
  double best_cost = 0;
  const std::uint32_t start = count == 1 ? 0 : dice(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t option = at(rank, start + i < count ? start + i : start + i - count);
    const Seen seen = see(option);
    if (seen.fit == Fit::kTrial && grab(option, seen, chosen)) return true;
    if (seen.fit != Fit::kWell) continue;
    const bool own = seen.endpoint == wanted_.endpoint;
    const bool best_own = best && best->second.endpoint == wanted_.endpoint;
    if (best && best_own && !own) continue;
    const double its_cost = count == 1 ? 0 : cost(option);
    if (best && best_own == own && its_cost >= best_cost) continue;
    best.emplace(option, seen);
    best_cost = its_cost;
  }
  return best && grab(best->first, best->second, chosen);
}

Supply Choice::take(Chosen& chosen) noexcept {
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    if (try_rank(rank, chosen)) return Supply::kTaken;
  }
  return settle_for_less(&chosen);
}

Supply Choice::look() noexcept { return settle_for_less(nullptr); }

// Nothing that is well has a free slot, or nobody wants one (null).
Supply Choice::settle_for_less(Chosen* chosen) noexcept {
  bool refused = false;    // something takes no such call
  bool elsewhere = false;  // something does, and is away or was tried
  bool full = false;       // something does, and is well
  bool sick = false;       // something does, and is not
  std::optional<std::pair<std::uint32_t, Seen>> least_bad;
  MonoTime until = MonoTime::max();
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    for (std::uint32_t i = 0; i < size(rank); ++i) {
      const std::uint32_t option = at(rank, i);
      const Seen seen = see(option);
      refused |= seen.fit == Fit::kNotTaken;
      elsewhere |= seen.fit == Fit::kAway || seen.fit == Fit::kTried;
      full |= seen.fit == Fit::kFull || seen.fit >= Fit::kTrial;
      if (seen.fit != Fit::kEjected && seen.fit != Fit::kHeldOff) continue;
      sick = true;
      const MonoTime its = standing(option)->breaker.until();
      if ((*place(option))->free_slots() <= 0 || its >= until) continue;
      least_bad.emplace(option, seen);
      until = its;
    }
  }
  if (full) return Supply::kFull;
  if (sick && wanted_.sick == Sick::kNever) return Supply::kUnreachable;
  if (chosen != nullptr && least_bad && grab(least_bad->first, least_bad->second, *chosen)) return Supply::kTaken;
  if (sick) return Supply::kFull;
  return refused && !elsewhere ? Supply::kNotTaken : Supply::kUnreachable;
}

std::string Choice::words_of(std::uint32_t at) {
  const std::shared_ptr<Place>* const found = place(at);
  if (found == nullptr) return "an upstream that this worker does not have any more";
  const Place& place = **found;
  if (!place.serves(wanted_.tenant_id)) return "is bound to other tenants";
  const Standing* const standing = this->standing(at);
  const auto seconds = [this](MonoTime until) {
    return std::to_string(std::max<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(until - now()).count(), 0));
  };
  switch (see(at).fit) {
    case Fit::kNobodys:
      return place.reachable() ? "is not the place that this call has to go to" : "cannot be reached";
    case Fit::kNotTaken:
      return "does not take calls of this endpoint";
    case Fit::kAway:
      return "cannot be reached";
    case Fit::kTried:
      return "was tried";
    case Fit::kFull:
      return "is well, but every slot is taken";
    case Fit::kEjected:
      return std::string("ejected: ") + to_string(standing->breaker.fault()) + "; tried again in " +
             seconds(standing->breaker.until()) + " s" +
             (place.healthy_at() == MonoTime::max() ? "" : ", once its health check goes well");
    case Fit::kHeldOff:
      return "asked for a pause: not called for " + seconds(standing->breaker.until()) + " s";
    case Fit::kTrial:
      return std::string("was ejected (") + to_string(standing->breaker.fault()) + "); the next call tries it";
    case Fit::kWell:
      break;
  }
  std::string words =
      "is well: " + std::to_string(place.free_slots()) + " of " + std::to_string(place.slots()) + " slots are free";
  if (const std::uint64_t us = standing == nullptr ? 0 : standing->first_token.expected_us(now()); us != 0)
    words += ", streams begin after about " + std::to_string(us / 1'000) + " ms";
  return words;
}

std::vector<PlaceLine> Choice::explain() {
  std::vector<PlaceLine> lines;
  std::vector<bool> named(model_.places.size() + model_.upstreams.size());
  const auto add = [&](std::uint32_t at, std::size_t rank, std::uint32_t weight, std::string words) {
    const std::shared_ptr<Place>* const found = place(at);
    if (found == nullptr) return;
    named[at] = true;
    lines.push_back({std::string((*found)->name()), (*found)->kind(), rank, weight, std::move(words)});
  };
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    std::uint32_t before = 0;
    for (std::uint32_t i = 0; i < size(rank); ++i) {
      const std::uint32_t up_to = route_ == nullptr ? before + 1 : route_->ranks[rank].options[i].up_to;
      add(at(rank, i), rank + 1, up_to - before, words_of(at(rank, i)));
      before = up_to;
    }
  }
  for (std::uint32_t i = 0; i < named.size(); ++i) {
    if (!named[i]) add(i, 0, 0, "serves the model, but the route does not name it");
  }
  return lines;
}

}  // namespace sluice::upstream
