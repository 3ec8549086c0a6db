// The places that one worker knows, and who waits for a slot on them, fairly; which of them a call goes to, choice.h says.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/task_group.h"
#include "upstream/model_list.h"
#include "upstream/models.h"
#include "upstream/place.h"

namespace sluice::upstream {

class Pool;
class QueueHome;
class Turn;
class WaitingCalls;
struct QueueBounds;

// Whether a call goes to a place that is ejected, where there is no other.
enum class Sick : std::uint8_t { kIfNothingElse, kNever };

// Which model, whose call it is, and of which endpoint (its number in the table of dialects).
// Lifetime: of the names.
struct Wanted {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kAnyEndpoint = kNone - 1;  // for questions, no call's

  std::string_view model;  // empty: of none, at `place`
  std::uint64_t tenant_id = 0;
  std::uint32_t endpoint = 0;
  std::uint32_t instead = kNone;  // another one that does where a place has not this
  std::string_view place = {};    // the one that may be called, by its name; empty: any
  std::string_view tenant = {};   // by name: some have routes of their own
  Sick sick = Sick::kIfNothingElse;

  // The endpoint that the place would be called at; kNone: it takes no such call.
  [[nodiscard]] std::uint32_t endpoint_at(const Place& place) const noexcept {
    if (endpoint == kAnyEndpoint || place.takes(endpoint)) return endpoint;
    return instead != kNone && place.takes(instead) ? instead : kNone;
  }
};

// Why a call would go to a place now, or not.
struct PlaceLine {
  std::string place;
  const char* kind = "";
  std::size_t rank = 0;      // from 1 on; 0: the route does not name it
  std::uint32_t weight = 0;  // of its rank
  std::string words;
};

// A slot on a place, given back on destruction.
class Lease final {
 public:
  Lease() noexcept = default;
  Lease(Pool& pool, std::shared_ptr<Place> place, std::shared_ptr<Standing> standing, std::uint32_t endpoint) noexcept
      : pool_(&pool), place_(std::move(place)), standing_(std::move(standing)), endpoint_(endpoint) {}
  Lease(Lease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        place_(std::move(other.place_)),
        standing_(std::move(other.standing_)),
        endpoint_(other.endpoint_) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }
  void release() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }
  [[nodiscard]] Place& operator*() const noexcept { return *place_; }
  [[nodiscard]] Place* operator->() const noexcept { return place_.get(); }
  // How the place does with the call's model; null: nobody keeps it.
  [[nodiscard]] Standing* standing() const noexcept { return standing_.get(); }
  // That the place is called at: Wanted::endpoint or Wanted::instead. Stays when the slot is given back.
  [[nodiscard]] std::uint32_t endpoint() const noexcept { return endpoint_; }
  // It turned out to lack that one. REQUIRES: the place takes `endpoint`.
  void call_at(std::uint32_t endpoint) noexcept { endpoint_ = endpoint; }

 private:
  Pool* pool_ = nullptr;
  std::shared_ptr<Place> place_;
  std::shared_ptr<Standing> standing_;
  std::uint32_t endpoint_ = Wanted::kNone;
};

enum class Supply : std::uint8_t {
  kTaken,     // `lease` holds a slot
  kFull,      // reachable, but every slot is taken
  kNotTaken,  // reachable, but nothing that serves it takes calls of this endpoint, also nothing that is away or tried
  kUnreachable,  // the model is known, but nothing serves it now
  kUnknown,      // no such model
};

// Thread:   owning worker only; another worker's pool reaches it through its loop.
// Lifetime: outlives every lease and waiter.
class Pool final {
  struct Waiting {
    Wanted wanted;
    net::Signal* wake;
  };

 public:
  explicit Pool(net::Loop& loop);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // All pools of the process, this one included, in the order of their workers: each is the home of some models' queues.
  // Once, before calls come.
  void set_siblings(std::vector<Pool*> pools);
  void set_queue_bounds(const QueueBounds& bounds) noexcept;

  // From now on these models are known, and no others. Wakes who waits.
  void set_models(std::shared_ptr<const Models> models);
  // This worker's places of the direct upstreams, by their numbers; null: no such upstream any more. Wakes who waits.
  void set_upstreams(std::vector<std::shared_ptr<Place>> places);

  // Tries to take a slot on a place that serves the tenant, leaving out those that were `tried` (Choice). Never waits.
  [[nodiscard]] Supply take(Wanted wanted, std::span<const Place* const> tried, Lease& lease);

  // The same for a call that has just come: where others wait for a slot of the model, it finds none free.
  [[nodiscard]] Supply come(Wanted wanted, std::span<const Place* const> tried, Lease& lease) {
    return others_wait(wanted.model) ? look(wanted, tried) : take(wanted, tried, lease);
  }
  // kFull where a slot of the model could be waited for, also where one is free; else why not. Takes none.
  [[nodiscard]] Supply look(Wanted wanted, std::span<const Place* const> tried) noexcept;
  // Of the reachable places, of all or of those that could take this call.
  [[nodiscard]] std::int64_t free_slots(std::string_view model) const noexcept;
  [[nodiscard]] std::int64_t free_slots(Wanted wanted) const noexcept;

  // While it lives, `wake` is notified when something changed for everybody. A slot that comes free is told to Queued.
  // Lifetime: the pool, the name and the signal outlive it.
  class Waiter final {
   public:
    Waiter(Pool& pool, Wanted wanted, net::Signal& wake);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

   private:
    Pool& pool_;
    std::list<Waiting>::iterator position_;
  };
  // A call that had to wait for its slot has used so many tokens. Once for each turn.
  void settle(std::shared_ptr<Turn> turn, std::uint64_t tokens);
  // The queues whose home this worker is.
  [[nodiscard]] QueueHome& queue_home() noexcept { return *queue_home_; }
  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  // Known models that calls wait for, and how many of them.
  [[nodiscard]] std::map<std::string, std::size_t> waiting_by_model() const;

  // Something changed for everybody: an agent came or went, an upstream is reachable again.
  void wake_all() noexcept;

  // Some upstream has not said yet what it serves: nobody can tell which models are unknown.
  [[nodiscard]] bool learning() const noexcept { return models_->learning; }
  // Whether some place of the model, also one that is away, has the endpoint itself.
  [[nodiscard]] bool has_endpoint(Wanted wanted) const noexcept;
  // Models that serve where no place of this one can, in order; by the route that is the tenant's.
  [[nodiscard]] std::vector<std::string> fallbacks(Wanted wanted) const;
  // Why a call would go to each place of the model now, or not.
  [[nodiscard]] std::vector<PlaceLine> explain(Wanted wanted);
  // The names of the places that the tenant may use and that have the endpoint, also of those that are away; `model` and
  // `place` are not looked at. Takes as long as there are models.
  [[nodiscard]] std::vector<std::string_view> takers(Wanted wanted) const;
  // Whether there is such a model for this tenant.
  [[nodiscard]] bool knows(Wanted wanted) const noexcept { return find(wanted) != nullptr; }
  // Whether the place of that name is one of the model's, reachable or not.
  [[nodiscard]] bool is_at(Wanted wanted, std::string_view place) const noexcept;
  // The place of that name where it serves the model and the tenant, also one that is away or full; null: none does. For
  // calls that need no slot.
  [[nodiscard]] std::shared_ptr<Place> place_named(Wanted wanted) const noexcept;
  // All known models, by name. Valid until the next set_models().
  [[nodiscard]] std::span<const Models::Entry* const> models() const noexcept { return models_->sorted; }
  // The same, each with the places that serve it, as this worker sees them.
  struct ServedAt {
    std::shared_ptr<const Place> place;
    std::shared_ptr<const Standing> standing;  // null: nobody keeps any
  };
  using Served = std::pair<std::string, std::vector<ServedAt>>;
  [[nodiscard]] std::vector<Served> served() const;
  // What the places of a model, which call it `upstream_name`, say of it: the latest date, and the shortest context,
  // which fits whichever of them gets the call. 0: none says.
  [[nodiscard]] ModelFacts facts(Wanted wanted, std::string_view upstream_name) const noexcept;

 private:
  friend class Lease;
  friend class Queued;
  void slot_freed() noexcept;
  void offer_slot(std::size_t first, std::size_t homes) noexcept;
  [[nodiscard]] bool others_wait(std::string_view model) const noexcept;
  [[nodiscard]] Pool& home_of(std::string_view model) noexcept;
  [[nodiscard]] bool is_well(const KnownModel& model, std::size_t at) const noexcept;
  template <class F>
  void for_each_free(const KnownModel& model, const Ranks* route, const F& visit) const noexcept;
  [[nodiscard]] const KnownModel* find(Wanted wanted) const noexcept;
  [[nodiscard]] static std::size_t count(const KnownModel& model) noexcept {
    return model.places.size() + model.upstreams.size();
  }
  // Calls `visit` with each place of whatever model until it says so.
  enum class Visit : std::uint8_t { kGoOn, kStop };
  template <class F>
  void each_place(F&& visit) const;
  // Of calls that name no model, at Wanted::place. `lease` null: takes none.
  Supply take_at_place(Wanted wanted, std::span<const Place* const> tried, Lease* lease);
  // Of whatever models, at the place of that name, or at all; empty.
  [[nodiscard]] std::int64_t free_slots_at(std::string_view place) const noexcept;
  // Null: an upstream that this worker has not, or no longer.
  [[nodiscard]] const std::shared_ptr<Place>* place(const KnownModel& model, std::size_t at) const noexcept;

  net::Loop& loop_;
  std::shared_ptr<const Models> models_;           // shared by all workers
  std::vector<std::shared_ptr<Place>> upstreams_;  // by number
  std::list<Waiting> waiters_;
  std::unique_ptr<QueueHome> queue_home_;
  std::atomic<std::size_t> waiting_here_{0};  // calls of all workers, in queues whose home this is
  std::shared_ptr<WaitingCalls> waiting_;     // shared by all pools
  std::vector<Pool*> siblings_;
  std::uint64_t random_ = 0x9E3779B97F4A7C15;  // of the choice among places
};

}  // namespace sluice::upstream
