// One call that waits for a slot, as the worker that it is on and the home of its model both hold it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/signal.h"
#include "upstream/fair_queue.h"
#include "upstream/pool.h"

namespace sluice::upstream {

struct ModelQueue;

// What a call that has to wait says of itself.
struct QueueTerms {
  FairQueue::Who who;
  QueueShare share;
  std::uint64_t estimate = 0;             // tokens
  std::chrono::nanoseconds most_wait{0};  // from now on; refused at once where it would take longer
};

// Thread:   as each part says.
// Lifetime: shared by both workers: either may be the last to need it.
class Turn final : public FairQueue::Call, public std::enable_shared_from_this<Turn> {
 public:
  Turn(Pool& pool, const Wanted& wanted, const QueueTerms& terms, net::Signal& wake)
      : pool(pool),
        wake(&wake),
        terms(terms),
        model_(wanted.model),
        place_(wanted.place),
        tenant_(wanted.tenant),
        wanted_(wanted) {
    wanted_.model = model_;
    wanted_.place = place_;
    wanted_.tenant = tenant_;
  }

  enum class State : std::uint8_t {
    kWaits,
    kGiven,     // a slot may be free for it
    kFull,      // refused: too many wait
    kUserFull,  // refused: too many of its user's wait
    kTooLong,   // refused: it would wait longer than it may
    kGone,
  };
  // Any thread.
  std::atomic<State> state{State::kWaits};
  std::atomic<std::uint32_t> position{0};  // as the home has last told; 1: it is next; 0: it has not
  std::atomic<std::int64_t> wait_ms{-1};   // how long that may take; -1: nobody can tell yet

  // What it waits for. Valid as long as this.
  [[nodiscard]] const Wanted& wanted() const noexcept { return wanted_; }

  // Of its own worker.
  Pool& pool;
  net::Signal* wake;  // null once it has gone

  // Of the home.
  const QueueTerms terms;
  ModelQueue* queue = nullptr;
  std::shared_ptr<Turn> kept;   // by the queue that it stands in, as long as it does
  std::uint64_t missed_at = 0;  // the event whose slot was none for it
  bool noted = false;           // its turn counts in the queue's rate

 private:
  const std::string model_, place_, tenant_;
  Wanted wanted_;
};

}  // namespace sluice::upstream
