// How a call waits for a slot of its model.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "upstream/queue_home.h"

namespace sluice::upstream {

// A call's place in the queue of its model, from its coming to its turn; leaves when it goes.
// Thread:   the call's worker only.
// Lifetime: the pool outlives it; `wake` is notified of all news.
class Queued final {
 public:
  Queued(Pool& pool, const Wanted& wanted, const QueueTerms& terms, net::Signal& wake);
  ~Queued();
  Queued(const Queued&) = delete;
  Queued& operator=(const Queued&) = delete;

  [[nodiscard]] Turn::State state() const noexcept { return turn_->state.load(std::memory_order_acquire); }
  // kGiven, and the slot was taken. What it has used is to be settled with what is returned, once.
  [[nodiscard]] std::shared_ptr<Turn> take() noexcept;
  // kGiven, and there was no slot after all: it waits on, where it stood.
  void miss() noexcept;
  // Asks where it stands; asking() until position() has been looked at, told() once the home has said so.
  void ask() noexcept;
  [[nodiscard]] bool asking() const noexcept { return asking_; }
  [[nodiscard]] bool told() const noexcept { return turn_->position.load(std::memory_order_acquire) != 0; }
  // 1: it is next. REQUIRES: told().
  [[nodiscard]] std::uint32_t position() noexcept {
    asking_ = false;
    return turn_->position.load(std::memory_order_relaxed);
  }
  // Nothing: nobody can tell.
  [[nodiscard]] std::optional<std::chrono::milliseconds> wait() const noexcept;

 private:
  void tell(QueueHome::Word word);
  void go() noexcept;

  Pool& pool_;
  Pool& home_;
  std::shared_ptr<Turn> turn_;  // shared: see Turn
  bool asking_ = false;
};

}  // namespace sluice::upstream
