#include "upstream/queue_home.h"

#include <algorithm>

namespace sluice::upstream {
namespace {

std::int64_t to_ms(std::chrono::nanoseconds time) noexcept {
  return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}

}  // namespace

QueueHome::~QueueHome() {
  for (auto& [model, queue] : queues_) {
    while (FairQueue::Call* const call = queue->fair.next(bounds_, [](const FairQueue::Call&) { return true; }))
      take_out(static_cast<Turn&>(*call));
  }
}

void QueueHome::hear(const std::shared_ptr<Turn>& turn, Word word) {
  switch (word) {
    case Word::kComes:
      return come(turn);
    case Word::kTaken:
      --turn->queue->given;
      // Of models that share a place, the other comes before this one's next.
      if (const auto here = std::ranges::find(waited_in_, turn->queue); here != waited_in_.end())
        waited_in_.splice(waited_in_.end(), waited_in_, here);
      return give_turns(*turn->queue, Because::kSlot);
    case Word::kMissed:
      return put_back(turn);
    case Word::kLeaves:
      return leave(*turn);
    case Word::kAsks:
      if (turn->waits()) tell_position(*turn);
      return;
  }
}

void QueueHome::come(const std::shared_ptr<Turn>& turn) {
  const MonoTime now = Mono::now();
  ModelQueue& queue = queue_of(turn->wanted().model);
  const bool first = queue.fair.waiting() == 0;
  const QueueTerms& terms = turn->terms;
  const FairQueue::Entry entry = queue.fair.enter(*turn, terms.who, terms.share, terms.estimate, bounds_, now);
  turn->queue = &queue;
  if (entry != FairQueue::Entry::kWaits) {
    if (const auto interval = queue.rate.interval(now))
      turn->wait_ms.store(to_ms(*interval), std::memory_order_relaxed);
    return refuse(*turn, entry == FairQueue::Entry::kFull ? Turn::State::kFull : Turn::State::kUserFull);
  }
  turn->kept = turn;
  if (first) begin(queue, now);
  give_turns(queue, Because::kNewcomer);
  if (turn->waits()) refuse_if_too_long(*turn, now);
}

// Whoever is next is never refused for it: how fast turns come is measured by those who wait.
void QueueHome::refuse_if_too_long(Turn& turn, MonoTime now) {
  const auto interval = turn.queue->rate.interval(now);
  if (!interval) return;
  const std::size_t ahead = turn.queue->fair.ahead_of(turn);
  const std::chrono::nanoseconds wait = *interval * static_cast<std::int64_t>(ahead + 1);
  if (ahead == 0 || wait <= turn.terms.most_wait) return;
  turn.wait_ms.store(to_ms(wait), std::memory_order_relaxed);
  const std::shared_ptr<Turn> still = turn.kept;
  take_out(turn);
  refuse(turn, Turn::State::kTooLong);
}

void QueueHome::refuse(Turn& turn, Turn::State why) {
  Turn::State waits = Turn::State::kWaits;
  if (turn.state.compare_exchange_strong(waits, why, std::memory_order_acq_rel)) wake(turn.shared_from_this());
}

void QueueHome::wake(std::shared_ptr<Turn> turn) {
  Pool& pool = turn->pool;
  if (&pool == &pool_) {
    if (turn->wake != nullptr) turn->wake->notify();
    return;
  }
  pool.loop().post([turn = std::move(turn)] {
    if (turn->wake != nullptr) turn->wake->notify();
  });
}

// The slot was another's, or none for this call: it waits for the next event, and another call may have this one.
void QueueHome::put_back(const std::shared_ptr<Turn>& turn) {
  ModelQueue& queue = *turn->queue;
  const bool first = queue.fair.waiting() == 0;
  --queue.given;
  if (turn->noted) queue.rate.take_back();
  queue.fair.put_back(*turn);
  turn->kept = turn;
  turn->missed_at = event_;
  if (first) begin(queue, Mono::now());
  give_turns(queue, Because::kSlot);
}

void QueueHome::leave(Turn& turn) {
  if (turn.waits()) return take_out(turn);
  if (!turn.has_turn()) return;  // it was refused
  ModelQueue& queue = *turn.queue;
  --queue.given;
  queue.fair.put_back(turn);
  queue.fair.leave(turn, Mono::now());
  give_turns(queue, Because::kSlot);
}

void QueueHome::take_out(Turn& turn) {
  const std::shared_ptr<Turn> still = std::move(turn.kept);
  ModelQueue& queue = *turn.queue;
  const MonoTime now = Mono::now();
  queue.fair.leave(turn, now);
  if (queue.fair.waiting() == 0) end(queue, now);
}

void QueueHome::begin(ModelQueue& queue, MonoTime now) {
  waited_in_.push_back(&queue);
  queue.rate.begin(now);
}

void QueueHome::end(ModelQueue& queue, MonoTime now) {
  waited_in_.remove(&queue);
  queue.rate.end(now);
}

void QueueHome::settle(Turn& turn, std::uint64_t tokens) { turn.queue->fair.settle(turn, tokens, Mono::now()); }

void QueueHome::look_again() {
  ++event_;
  for (auto at = waited_in_.begin(); at != waited_in_.end();) {
    ModelQueue& queue = **at++;  // it may leave the list
    give_turns(queue, Because::kSlot);
  }
}

// As many turns as there are free slots, to those who are next and could use one.
void QueueHome::give_turns(ModelQueue& queue, Because because) {
  while (queue.fair.waiting() != 0 && pool_.free_slots(queue.model) > static_cast<std::int64_t>(queue.given)) {
    FairQueue::Call* const next = queue.fair.next(bounds_, [&](const FairQueue::Call& call) {
      const Turn& turn = static_cast<const Turn&>(call);
      return turn.missed_at != event_ && pool_.free_slots(turn.wanted()) > static_cast<std::int64_t>(queue.given);
    });
    if (next == nullptr) return;
    give(static_cast<Turn&>(*next), because);
  }
}

void QueueHome::give(Turn& turn, Because because) {
  Turn::State waits = Turn::State::kWaits;
  if (!turn.state.compare_exchange_strong(waits, Turn::State::kGiven, std::memory_order_acq_rel))
    return take_out(turn);  // it has left, and says so just now
  ModelQueue& queue = *turn.queue;
  std::shared_ptr<Turn> given = std::move(turn.kept);
  const MonoTime now = Mono::now();
  queue.fair.serve(turn);
  ++queue.given;
  turn.noted = because == Because::kSlot;
  if (turn.noted) queue.rate.note_turn(now);
  if (queue.fair.waiting() == 0) end(queue, now);
  wake(std::move(given));
}

void QueueHome::tell_position(Turn& turn) {
  const std::size_t ahead = turn.queue->fair.ahead_of(turn);
  const auto interval = turn.queue->rate.interval(Mono::now());
  turn.wait_ms.store(interval ? to_ms(*interval * static_cast<std::int64_t>(ahead + 1)) : -1,
                     std::memory_order_relaxed);
  turn.position.store(static_cast<std::uint32_t>(ahead + 1), std::memory_order_release);
  wake(turn.kept);
}

ModelQueue& QueueHome::queue_of(std::string_view model) {
  constexpr std::size_t kMany = 256;
  if (const auto known = queues_.find(model); known != queues_.end()) return *known->second;
  if (queues_.size() >= kMany) forget_idle();
  auto& made = queues_[std::string(model)];
  made = std::make_unique<ModelQueue>();
  made->model = model;
  return *made;
}

void QueueHome::forget_idle() {
  const MonoTime now = Mono::now();
  std::erase_if(queues_, [&](auto& entry) {
    entry.second->fair.forget(bounds_, now);
    return entry.second->fair.knows_nobody();
  });
}

std::vector<QueueHome::Seen> QueueHome::seen() {
  const MonoTime now = Mono::now();
  std::vector<Seen> all;
  for (auto& [model, queue] : queues_) {
    queue->fair.forget(bounds_, now);
    if (queue->fair.knows_nobody()) continue;
    Seen& seen = all.emplace_back();
    seen.model = model;
    seen.waiting = queue->fair.waiting();
    seen.interval = queue->rate.interval(now);
    seen.users = queue->fair.users(now);
    for (const FairQueue::Seen& user : seen.users) seen.longest_wait = std::max(seen.longest_wait, user.longest_wait);
  }
  return all;
}

}  // namespace sluice::upstream
