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
  place_.reset();
  std::exchange(pool_, nullptr)->slot_freed();
}

void Pool::replace(std::map<std::string, std::vector<std::shared_ptr<Place>>> places) {
  places_.clear();
  for (auto& [model, served_by] : places) places_.emplace(model, std::move(served_by));
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

Pool::Waiter::Waiter(Pool& pool, net::Signal& wake) : pool_(pool) {
  position_ = pool_.waiters_.insert(pool_.waiters_.end(), &wake);
  pool_.waiting_.store(pool_.waiters_.size(), std::memory_order_seq_cst);
}

Pool::Waiter::~Waiter() {
  pool_.waiters_.erase(position_);
  pool_.waiting_.store(pool_.waiters_.size(), std::memory_order_relaxed);
  // This one may have been told of a free slot and leaves without it: pass the word on.
  pool_.wake_one();
}

void Pool::wake_all() noexcept {
  for (net::Signal* wake : waiters_) wake->notify();
}

void Pool::wake_one() noexcept {
  if (waiters_.empty()) return;
  // To the back: several slots freed in one turn wake several waiters, though none has left the queue yet.
  waiters_.splice(waiters_.end(), waiters_, waiters_.begin());
  waiters_.back()->notify();
}

void Pool::slot_freed() noexcept {
  if (!waiters_.empty()) return wake_one();
  for (Pool* sibling : siblings_) {
    if (sibling == this || sibling->waiting() == 0) continue;
    sibling->loop_.post([sibling] { sibling->wake_one(); });
    return;
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
