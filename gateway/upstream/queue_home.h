// The queues of the models whose home a worker is: here calls of all workers wait for a slot.
//
// A call that finds no slot, or others who wait, is announced to the home of its model. Whoever gives a slot back tells
// every home where somebody waits; the home says whose turn it is, and that call takes the slot itself, by the pool of
// its own worker, which knows best which place it is to be. Where it finds none after all (another model's call was
// quicker, or the free place is not for it), it stands where it stood until the next slot comes free. So nobody but the
// calls themselves holds slots, and nothing is shared but counts of those who wait (WaitingCalls).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "upstream/service_rate.h"
#include "upstream/turn.h"

namespace sluice::upstream {

// How many calls wait, over all workers, so that newcomers wait behind them.
// Thread: any.
class WaitingCalls final {
 public:
  [[nodiscard]] bool any() const noexcept { return all_.load(std::memory_order_relaxed) != 0; }
  // Also if only calls for a model of the same hash do: then the home finds that nobody is before this one.
  [[nodiscard]] bool any_for(std::string_view model) const noexcept {
    return any() && by_model_[slot_of(model)].load(std::memory_order_relaxed) != 0;
  }
  // In one order with the giving and counting of slots: either the call sees a slot that was given back, or whoever
  // gave it sees the call.
  void come(std::string_view model) noexcept {
    by_model_[slot_of(model)].fetch_add(1, std::memory_order_seq_cst);
    all_.fetch_add(1, std::memory_order_seq_cst);
  }
  void go(std::string_view model) noexcept {
    by_model_[slot_of(model)].fetch_sub(1, std::memory_order_seq_cst);
    all_.fetch_sub(1, std::memory_order_seq_cst);
  }
  [[nodiscard]] bool any_in_order() const noexcept { return all_.load(std::memory_order_seq_cst) != 0; }
  // Another number each time: which home is offered a slot first.
  [[nodiscard]] std::size_t take_turn() noexcept { return turn_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kSlots = 1'024;
  static std::size_t slot_of(std::string_view model) noexcept { return StringHash()(model) % kSlots; }

  std::atomic<std::size_t> all_{0}, turn_{0};
  std::array<std::atomic<std::uint32_t>, kSlots> by_model_{};
};

// One model's.
struct ModelQueue {
  std::string model;
  FairQueue fair;
  ServiceRate rate;
  std::size_t given = 0;  // turns that nobody has answered yet
};

// Thread:   owning worker only.
// Lifetime: of its pool.
class QueueHome final {
 public:
  explicit QueueHome(Pool& pool) noexcept : pool_(pool) {}
  ~QueueHome();
  QueueHome(const QueueHome&) = delete;
  QueueHome& operator=(const QueueHome&) = delete;

  void set_bounds(const QueueBounds& bounds) noexcept { bounds_ = bounds; }

  // What a call tells of its turn.
  enum class Word : std::uint8_t { kComes, kTaken, kMissed, kLeaves, kAsks };
  void hear(const std::shared_ptr<Turn>& turn, Word word);
  void settle(Turn& turn, std::uint64_t tokens);
  // A slot may have come free, of any model.
  void look_again();

  struct Seen {
    std::string model;
    std::size_t waiting = 0;
    std::chrono::nanoseconds longest_wait{0};
    std::optional<std::chrono::nanoseconds> interval;  // from one turn to the next; nothing: not measured yet
    std::vector<FairQueue::Seen> users;
  };
  // Queues in which somebody waits or has waited lately.
  [[nodiscard]] std::vector<Seen> seen();

 private:
  enum class Because : std::uint8_t { kNewcomer, kSlot };
  void come(const std::shared_ptr<Turn>& turn);
  void put_back(const std::shared_ptr<Turn>& turn);
  void leave(Turn& turn);
  void refuse_if_too_long(Turn& turn, MonoTime now);
  void refuse(Turn& turn, Turn::State why);
  void tell_position(Turn& turn);
  void give_turns(ModelQueue& queue, Because because);
  void give(Turn& turn, Because because);
  void wake(std::shared_ptr<Turn> turn);
  void take_out(Turn& turn);
  void begin(ModelQueue& queue, MonoTime now);
  void end(ModelQueue& queue, MonoTime now);
  ModelQueue& queue_of(std::string_view model);
  void forget_idle();

  Pool& pool_;
  QueueBounds bounds_;
  NameMap<std::unique_ptr<ModelQueue>> queues_;
  std::list<ModelQueue*> waited_in_;  // those in which somebody waits; who got a slot last stands last
  std::uint64_t event_ = 1;           // counts what may have freed a slot
};

}  // namespace sluice::upstream
