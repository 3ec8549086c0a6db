// Who waits at a pool: for anything to change, or for a slot.
#include <algorithm>

#include "upstream/pool.h"
#include "upstream/queue_home.h"

namespace sluice::upstream {

Pool::Pool(net::Loop& loop)
    : loop_(loop),
      models_(std::make_shared<const Models>()),
      queue_home_(std::make_unique<QueueHome>(*this)),
      waiting_(std::make_shared<WaitingCalls>()) {}

Pool::~Pool() = default;

void Pool::set_siblings(std::vector<Pool*> pools) {
  siblings_ = std::move(pools);
  waiting_ = siblings_.front()->waiting_;
}

void Pool::set_queue_bounds(const QueueBounds& bounds) noexcept { queue_home_->set_bounds(bounds); }

Pool& Pool::home_of(std::string_view model) noexcept {
  return siblings_.empty() ? *this : *siblings_[StringHash()(model) % siblings_.size()];
}

bool Pool::others_wait(std::string_view model) const noexcept { return waiting_->any_for(model); }

// Whether Choice would take a call there while another place is well.
bool Pool::is_well(const KnownModel& model, std::size_t at) const noexcept {
  const Standing* const standing = at < model.standings.size() ? model.standings[at].get() : nullptr;
  if (standing == nullptr || standing->breaker.well()) return true;
  const Breaker::Gate gate = standing->breaker.gate(Mono::now(), (*place(model, at))->healthy_at());
  return gate == Breaker::Gate::kWell || gate == Breaker::Gate::kTrial;
}

// Of those that the route names, if any; of places that are not well only where none is: a call is given none of their
// slots before.
template <class F>
void Pool::for_each_free(const KnownModel& model, const Ranks* route, const F& visit) const noexcept {
  const auto is_named = [&](std::size_t i) {
    return route == nullptr || std::ranges::any_of(route->ranks, [&](const Ranks::Rank& rank) {
             return std::ranges::find(rank.options, i, &Ranks::Option::at) != rank.options.end();
           });
  };
  const auto is_there = [&](std::size_t i) {
    const std::shared_ptr<Place>* at = place(model, i);
    return at != nullptr && (*at)->reachable() && is_named(i);
  };
  bool some_well = false;
  for (std::size_t i = 0; i < count(model) && !some_well; ++i) some_well = is_there(i) && is_well(model, i);
  for (std::size_t i = 0; i < count(model); ++i) {
    if (!is_there(i) || (*place(model, i))->free_slots() <= 0) continue;
    if (!some_well || is_well(model, i)) visit(**place(model, i));
  }
}

std::int64_t Pool::free_slots(std::string_view model) const noexcept {
  if (model.empty()) return free_slots_at({});
  const auto known = models_->known.find(model);
  std::int64_t free = 0;
  if (known != models_->known.end())
    for_each_free(known->second, nullptr, [&](const Place& place) { free += place.free_slots(); });
  return free;
}

std::int64_t Pool::free_slots(Wanted wanted) const noexcept {
  if (wanted.model.empty()) return free_slots_at(wanted.place);
  const KnownModel* known = find(wanted);
  std::int64_t free = 0;
  if (known == nullptr) return free;
  const auto found = std::ranges::find_if(known->routes, [&](const Ranks& one) { return one.is_for(wanted.tenant); });
  const Ranks* const route = found == known->routes.end() ? nullptr : &*found;
  for_each_free(*known, route, [&](const Place& place) {
    if (!place.serves(wanted.tenant_id) || wanted.endpoint_at(place) == Wanted::kNone) return;
    if (wanted.place.empty() || wanted.place == place.name()) free += place.free_slots();
  });
  return free;
}

Pool::Waiter::Waiter(Pool& pool, Wanted wanted, net::Signal& wake) : pool_(pool) {
  position_ = pool_.waiters_.insert(pool_.waiters_.end(), {wanted, &wake});
}

Pool::Waiter::~Waiter() { pool_.waiters_.erase(position_); }

void Pool::wake_all() noexcept {
  for (const Waiting& waiting : waiters_) waiting.wake->notify();
  queue_home_->look_again();
}

// A slot is given back before this looks who waits, and whoever waits is counted before its home looks for slots: one
// of the two sees the other.
void Pool::slot_freed() noexcept {
  if (!waiting_->any_in_order()) return;
  if (siblings_.empty()) return queue_home_->look_again();
  offer_slot(waiting_->take_turn(), siblings_.size());
}

// To one home after the other: models that share a place may have different homes, and whoever hears first has the slot
// first. So each is the first in turn.
void Pool::offer_slot(std::size_t first, std::size_t homes) noexcept {
  for (; homes != 0; ++first, --homes) {
    Pool* const home = siblings_[first % siblings_.size()];
    if (home->waiting_here_.load(std::memory_order_seq_cst) == 0) continue;
    if (home != this)
      return home->loop_.post([home, first, homes] {
        home->queue_home_->look_again();
        home->offer_slot(first + 1, homes - 1);
      });
    queue_home_->look_again();
  }
}

void Pool::settle(std::shared_ptr<Turn> turn, std::uint64_t tokens) {
  Pool& home = home_of(turn->wanted().model);
  if (&home == this) return queue_home_->settle(*turn, tokens);
  home.loop_.post([&home, turn = std::move(turn), tokens] { home.queue_home_->settle(*turn, tokens); });
}

// A name that nobody knows is a client's own text, and shown to nobody.
std::map<std::string, std::size_t> Pool::waiting_by_model() const {
  std::map<std::string, std::size_t> calls;
  for (const Waiting& waiting : waiters_) {
    if (find(waiting.wanted) != nullptr) ++calls[std::string(waiting.wanted.model)];
  }
  return calls;
}

}  // namespace sluice::upstream
