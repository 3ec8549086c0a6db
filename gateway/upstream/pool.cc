#include "upstream/pool.h"

#include <algorithm>

#include "upstream/choice.h"

namespace sluice::upstream {

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    place_ = std::move(other.place_);
    standing_ = std::move(other.standing_);
    endpoint_ = other.endpoint_;
  }
  return *this;
}

void Lease::release() noexcept {
  if (pool_ == nullptr) return;
  place_->free_slot();
  std::exchange(pool_, nullptr)->slot_freed();
  place_.reset();
}

void Pool::set_models(std::shared_ptr<const Models> models) {
  models_ = std::move(models);
  wake_all();
}

void Pool::set_upstreams(std::vector<std::shared_ptr<Place>> places) {
  upstreams_ = std::move(places);
  wake_all();
}

const KnownModel* Pool::find(Wanted wanted) const noexcept {
  const auto found = models_->known.find(wanted.model);
  return found == models_->known.end() || !found->second.known_to(wanted.tenant_id) ? nullptr : &found->second;
}

const std::shared_ptr<Place>* Pool::place(const KnownModel& model, std::size_t at) const noexcept {
  if (at < model.places.size()) return &model.places[at];
  const std::uint32_t number = model.upstreams[at - model.places.size()];
  return number < upstreams_.size() && upstreams_[number] ? &upstreams_[number] : nullptr;
}

template <class F>
void Pool::each_place(F&& visit) const {
  for (const std::shared_ptr<Place>& upstream : upstreams_) {
    if (upstream && visit(upstream) == Visit::kStop) return;
  }
  for (const Models::Entry* const entry : models_->sorted) {
    for (const std::shared_ptr<Place>& agent : entry->second.places) {
      if (visit(agent) == Visit::kStop) return;
    }
  }
}

std::vector<std::string_view> Pool::takers(Wanted wanted) const {
  std::vector<std::string_view> names;
  each_place([&](const std::shared_ptr<Place>& at) {
    if (at->serves(wanted.tenant_id) && at->takes(wanted.endpoint) &&
        std::ranges::find(names, at->name()) == names.end())
      names.push_back(at->name());
    return Visit::kGoOn;
  });
  return names;
}

// Of one agent's models any will do: they stand beside one server.
Supply Pool::take_at_place(Wanted wanted, std::span<const Place* const> tried, Lease* lease) {
  Supply supply = Supply::kUnreachable;
  each_place([&](const std::shared_ptr<Place>& at) {
    if (at->name() != wanted.place || !at->serves(wanted.tenant_id) || !at->reachable()) return Visit::kGoOn;
    if (!at->takes(wanted.endpoint)) {
      if (supply == Supply::kUnreachable) supply = Supply::kNotTaken;
      return Visit::kGoOn;
    }
    if (std::ranges::find(tried, at.get()) != tried.end()) return Visit::kGoOn;
    supply = Supply::kFull;
    if (lease == nullptr || !at->take_slot()) return Visit::kGoOn;
    supply = Supply::kTaken;
    *lease = Lease(*this, at, nullptr, wanted.endpoint);
    return Visit::kStop;
  });
  return supply;
}

std::int64_t Pool::free_slots_at(std::string_view name) const noexcept {
  std::int64_t free = 0;
  each_place([&](const std::shared_ptr<Place>& at) {
    if ((name.empty() || at->name() == name) && at->reachable()) free += std::max<std::int64_t>(at->free_slots(), 0);
    return Visit::kGoOn;
  });
  return free;
}

Supply Pool::take(Wanted wanted, std::span<const Place* const> tried, Lease& lease) {
  if (wanted.model.empty()) return take_at_place(wanted, tried, &lease);
  const KnownModel* known = find(wanted);
  if (known == nullptr) return Supply::kUnknown;
  Chosen chosen;
  const Supply supply = Choice(*known, upstreams_, wanted, tried, random_).take(chosen);
  if (supply == Supply::kTaken)
    lease = Lease(*this, *chosen.place, chosen.standing == nullptr ? nullptr : *chosen.standing, chosen.endpoint);
  return supply;
}

Supply Pool::look(Wanted wanted, std::span<const Place* const> tried) noexcept {
  if (wanted.model.empty()) return take_at_place(wanted, tried, nullptr);
  const KnownModel* known = find(wanted);
  std::uint64_t dice = 1;  // nothing is drawn
  return known == nullptr ? Supply::kUnknown : Choice(*known, upstreams_, wanted, tried, dice).look();
}

std::vector<std::string> Pool::fallbacks(Wanted wanted) const {
  if (!models_->routed) return {};
  const KnownModel* known = find(wanted);
  if (known == nullptr) return {};
  const auto route = std::ranges::find_if(known->routes, [&](const Ranks& one) { return one.is_for(wanted.tenant); });
  return route == known->routes.end() ? std::vector<std::string>() : route->fallback;
}

std::vector<PlaceLine> Pool::explain(Wanted wanted) {
  const KnownModel* known = find(wanted);
  return known == nullptr ? std::vector<PlaceLine>() : Choice(*known, upstreams_, wanted, {}, random_).explain();
}

bool Pool::has_endpoint(Wanted wanted) const noexcept {
  const KnownModel* known = find(wanted);
  for (std::size_t i = 0; known != nullptr && i < count(*known); ++i) {
    const std::shared_ptr<Place>* at = place(*known, i);
    if (at != nullptr && (*at)->serves(wanted.tenant_id) && (*at)->takes(wanted.endpoint)) return true;
  }
  return false;
}

std::shared_ptr<Place> Pool::place_named(Wanted wanted) const noexcept {
  const KnownModel* known = find(wanted);
  for (std::size_t i = 0; known != nullptr && i < count(*known); ++i) {
    const std::shared_ptr<Place>* at = place(*known, i);
    if (at != nullptr && (*at)->name() == wanted.place && (*at)->serves(wanted.tenant_id)) return *at;
  }
  return nullptr;
}

bool Pool::is_at(Wanted wanted, std::string_view name) const noexcept {
  const KnownModel* known = find(wanted);
  for (std::size_t i = 0; known != nullptr && i < count(*known); ++i) {
    const std::shared_ptr<Place>* at = place(*known, i);
    if (at != nullptr && (*at)->name() == name) return true;
  }
  return false;
}

ModelFacts Pool::facts(Wanted wanted, std::string_view upstream_name) const noexcept {
  ModelFacts all;
  const KnownModel* known = find(wanted);
  if (known == nullptr) return all;
  for (std::size_t i = 0; i < count(*known); ++i) {
    const std::shared_ptr<Place>* at = place(*known, i);
    if (at == nullptr || !(*at)->serves(wanted.tenant_id)) continue;
    const std::string_view called = (*at)->called(upstream_name);
    all.created = std::max(all.created, (*at)->created(called));
    const std::uint64_t context = (*at)->context_length(called);
    if (context != 0) all.context_tokens = all.context_tokens == 0 ? context : std::min(all.context_tokens, context);
  }
  return all;
}

std::vector<Pool::Served> Pool::served() const {
  std::vector<Served> models;
  models.reserve(models_->known.size());
  for (const auto& [model, known] : models_->known) {
    auto& places = models.emplace_back(model, Served::second_type()).second;
    for (std::size_t i = 0; i < count(known); ++i)
      if (const std::shared_ptr<Place>* at = place(known, i))
        places.push_back({*at, i < known.standings.size() ? known.standings[i] : nullptr});
  }
  return models;
}

}  // namespace sluice::upstream
