#include "upstream/queued.h"

#include <utility>

namespace sluice::upstream {

Queued::Queued(Pool& pool, const Wanted& wanted, const QueueTerms& terms, net::Signal& wake)
    : pool_(pool), home_(pool.home_of(wanted.model)), turn_(std::make_shared<Turn>(pool, wanted, terms, wake)) {
  home_.waiting_here_.fetch_add(1, std::memory_order_seq_cst);
  pool_.waiting_->come(turn_->wanted().model);
  tell(QueueHome::Word::kComes);
}

Queued::~Queued() {
  if (!turn_) return;
  turn_->state.store(Turn::State::kGone, std::memory_order_release);
  tell(QueueHome::Word::kLeaves);
  go();
}

void Queued::tell(QueueHome::Word word) {
  if (&home_ == &pool_) return home_.queue_home_->hear(turn_, word);
  home_.loop_.post([&home = home_, turn = turn_, word] { home.queue_home_->hear(turn, word); });
}

void Queued::go() noexcept {
  turn_->wake = nullptr;
  pool_.waiting_->go(turn_->wanted().model);
  home_.waiting_here_.fetch_sub(1, std::memory_order_seq_cst);
}

std::shared_ptr<Turn> Queued::take() noexcept {
  tell(QueueHome::Word::kTaken);
  go();
  return std::move(turn_);
}

void Queued::miss() noexcept {
  asking_ = false;  // what was asked while it had its turn is not answered
  turn_->state.store(Turn::State::kWaits, std::memory_order_release);
  tell(QueueHome::Word::kMissed);
}

void Queued::ask() noexcept {
  asking_ = true;
  turn_->position.store(0, std::memory_order_relaxed);
  tell(QueueHome::Word::kAsks);
}

std::optional<std::chrono::milliseconds> Queued::wait() const noexcept {
  const std::int64_t wait = turn_->wait_ms.load(std::memory_order_relaxed);
  return wait < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(wait));
}

}  // namespace sluice::upstream
