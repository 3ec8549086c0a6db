#include "upstream/pool.h"

#include <algorithm>

namespace sluice::upstream {

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    place_ = std::move(other.place_);
  }
  return *this;
}

void Lease::release() noexcept {
  if (pool_ == nullptr) return;
  place_->free_slot();
  std::exchange(pool_, nullptr)->slot_freed(place_->name());
  place_.reset();
}

void Pool::replace(std::map<std::string, std::vector<std::shared_ptr<Place>>> places, bool learning) {
  learning_ = learning;
  places_.clear();
  for (auto& entry : places) places_.emplace(entry.first, std::move(entry.second));
  wake_all();
}

Supply Pool::take(std::string_view model, std::span<const Place* const> tried, Lease& lease) {
  const auto found = places_.find(model);
  if (found == places_.end()) return Supply::kUnknown;
  const auto& places = found->second;
  Supply supply = Supply::kUnreachable;
  const std::shared_ptr<Place>* best = nullptr;
  const std::size_t start = places.empty() ? 0 : ++turn_ % places.size();
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& place = places[(start + i) % places.size()];
    if (!place->reachable() || std::ranges::find(tried, place.get()) != tried.end()) continue;
    supply = Supply::kFull;
    if (place->free_slots() > 0 && (best == nullptr || place->free_slots() > (*best)->free_slots())) best = &place;
  }
  if (best == nullptr || !(*best)->take_slot()) return supply;
  lease = Lease(*this, *best);
  return Supply::kTaken;
}

Pool::Waiter::Waiter(Pool& pool, std::string_view model, net::Signal& wake) : pool_(pool) {
  position_ = pool_.waiters_.insert(pool_.waiters_.end(), {model, &wake});
  pool_.waiting_.store(pool_.waiters_.size(), std::memory_order_seq_cst);
}

Pool::Waiter::~Waiter() {
  const std::string_view model = position_->model;
  pool_.waiters_.erase(position_);
  pool_.waiting_.store(pool_.waiters_.size(), std::memory_order_relaxed);
  // This one may have been told of a free slot and leaves without it: pass the word on.
  const auto found = pool_.places_.find(model);
  if (found == pool_.places_.end()) return;
  for (const auto& place : found->second) {
    if (place->free_slots() > 0) pool_.wake_one(place->name());
  }
}

void Pool::wake_all() noexcept {
  for (const Waiting& waiting : waiters_) waiting.wake->notify();
}

bool Pool::serves(std::string_view place, std::string_view model) const noexcept {
  const auto found = places_.find(model);
  return found != places_.end() &&
         std::ranges::any_of(found->second, [place](const auto& served_by) { return served_by->name() == place; });
}

Pool::Woken Pool::wake_one(std::string_view place) noexcept {
  const auto first = std::ranges::find_if(waiters_, [&](const Waiting& w) { return serves(place, w.model); });
  if (first == waiters_.end()) return Woken::kNone;
  // To the back: several slots freed in one turn wake several waiters, though none has left the queue yet.
  waiters_.splice(waiters_.end(), waiters_, first);
  first->wake->notify();
  return Woken::kOne;
}

// Whoever waits on another worker knows the same place by the same name.
void Pool::slot_freed(std::string_view place) noexcept {
  if (wake_one(place) == Woken::kOne) return;
  for (Pool* sibling : siblings_) {
    if (sibling == this || sibling->waiting() == 0) continue;
    sibling->loop_.post([sibling, name = std::string(place)] { sibling->wake_one(name); });
  }
}

bool Pool::knows(std::string_view model) const noexcept { return places_.find(model) != places_.end(); }

std::vector<std::string_view> Pool::models() const {
  std::vector<std::string_view> names;
  names.reserve(places_.size());
  for (const auto& entry : places_) names.emplace_back(entry.first);
  return names;
}

std::vector<std::pair<std::string, std::int64_t>> Pool::free_slots() const {
  std::vector<std::pair<std::string, std::int64_t>> models;
  for (const auto& [model, places] : places_) {
    std::int64_t free = 0;
    for (const auto& place : places) free += place->reachable() ? std::max<std::int64_t>(place->free_slots(), 0) : 0;
    models.emplace_back(model, free);
  }
  return models;
}

}  // namespace sluice::upstream
