// The places that one worker knows, and the choice among them: least loaded first, a bounded queue where all are full.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "net/task_group.h"
#include "upstream/place.h"

namespace sluice::upstream {

class Pool;

// A slot on a place, given back on destruction.
class Lease final {
 public:
  Lease() noexcept = default;
  Lease(Pool& pool, std::shared_ptr<Place> place) noexcept : pool_(&pool), place_(std::move(place)) {}
  Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), place_(std::move(other.place_)) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }
  void release() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }
  [[nodiscard]] Place& operator*() const noexcept { return *place_; }
  [[nodiscard]] Place* operator->() const noexcept { return place_.get(); }

 private:
  Pool* pool_ = nullptr;
  std::shared_ptr<Place> place_;
};

enum class Supply : std::uint8_t {
  kTaken,        // `lease` holds a slot
  kFull,         // reachable, but every slot is taken
  kUnreachable,  // the model is known, but nothing serves it now
  kUnknown,      // no such model
};

// Thread:   owning worker only, but for wake_one_from_afar().
// Lifetime: outlives every lease and waiter.
class Pool final {
  struct Waiting {
    std::string_view model;
    net::Signal* wake;
  };

 public:
  explicit Pool(net::Loop& loop) noexcept : loop_(loop) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // All pools of the process, this one included: a slot freed here may be what a call on another worker waits for.
  void set_siblings(std::vector<Pool*> pools) { siblings_ = std::move(pools); }

  // From now on these models are known, each served by its places; none: known, but served by nobody. `learning`: some
  // upstream has not said yet what it serves. Wakes who waits.
  void replace(std::map<std::string, std::vector<std::shared_ptr<Place>>> places, bool learning = false);

  // Tries to take a slot for `model`, leaving out places that were `tried`. Never waits.
  [[nodiscard]] Supply take(std::string_view model, std::span<const Place* const> tried, Lease& lease);

  // While it lives, `wake` is notified when another take() for `model` is worth it; of those who could use a freed slot
  // one, in order. Lifetime: the pool, the name and the signal outlive it.
  class Waiter final {
   public:
    Waiter(Pool& pool, std::string_view model, net::Signal& wake);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

   private:
    Pool& pool_;
    std::list<Waiting>::iterator position_;
  };
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

  // Something changed for everybody: an agent came or went, an upstream is reachable again.
  void wake_all() noexcept;

  [[nodiscard]] bool learning() const noexcept { return learning_; }
  [[nodiscard]] bool knows(std::string_view model) const noexcept;
  // Names of all known models, in no order.
  [[nodiscard]] std::vector<std::string_view> models() const;
  // The same, each with the slots that are free on places that can be reached.
  [[nodiscard]] std::vector<std::pair<std::string, std::int64_t>> free_slots() const;

 private:
  friend class Lease;
  void slot_freed(std::string_view place) noexcept;
  enum class Woken : std::uint8_t { kOne, kNone };
  Woken wake_one(std::string_view place) noexcept;
  [[nodiscard]] bool serves(std::string_view place, std::string_view model) const noexcept;

  net::Loop& loop_;
  NameMap<std::vector<std::shared_ptr<Place>>> places_;
  std::list<Waiting> waiters_;
  std::atomic<std::size_t> waiting_{0};
  std::vector<Pool*> siblings_;
  bool learning_ = false;
  std::uint32_t turn_ = 0;  // breaks ties among equally free places
};

}  // namespace sluice::upstream
