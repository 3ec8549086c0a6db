// The order in which calls get the slots of one model: fair among users, in tokens.
//
// Deficit round robin with the empty rounds left out. A round gives each user who waits one token for each unit of its
// weight; whoever owes nothing may take a turn, whatever it costs, and owes it from then on. A user's mark is the
// round in which it will owe nothing again: the lowest goes next, and of equals whoever was served longest ago. So the
// next turn costs a look at the first of an ordered set, however large the calls are, and a user who comes with one
// call waits behind no more than the turn that is under way, however many calls another one has.
//
// What a turn costs is estimated, and pending until it is settled: then the user's mark goes where what was used puts
// it. Who comes anew begins where those stand who have been served least, by what is settled: estimates may come back,
// and would then let others pass. A mark is remembered while others wait for as long as the user owes, else for a while.
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/queue_share.h"

namespace sluice::upstream {

struct QueueBounds {
  std::size_t calls = 1'024;                                 // of one model
  std::size_t calls_per_user = 256;                          // of them
  std::uint32_t passed_over = 16;                            // turns of higher priority, then one of a lower goes first
  std::chrono::nanoseconds memory{std::chrono::minutes(1)};  // of what users owe that have no call any more
};

// Thread:   owning worker only.
// Lifetime: calls are in it by reference: each is taken out, or settled, before it goes. The names of users outlive it.
class FairQueue final {
  struct User;

 public:
  // Whose call it is.
  struct Who {
    std::uint64_t id = 0;
    std::string_view tenant, user;  // for people
  };

  // One call: it waits, then has its turn until it is settled.
  class Call : public boost::intrusive::list_base_hook<> {
   public:
    [[nodiscard]] bool waits() const noexcept { return is_linked(); }
    [[nodiscard]] bool has_turn() const noexcept { return user_ != nullptr && !is_linked(); }

   protected:
    Call() noexcept = default;
    ~Call() = default;

   private:
    friend class FairQueue;
    User* user_ = nullptr;
    std::uint64_t cost_ = 0;
    std::int64_t paid_ = 0;            // rounds, for its turn
    std::uint64_t served_before_ = 0;  // its user, before this turn
    MonoTime since_;
  };

  FairQueue() = default;
  ~FairQueue();
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  enum class Entry : std::uint8_t { kWaits, kFull, kUserFull };
  // Behind the user's other calls. `cost`: its estimate, in tokens.
  Entry enter(Call& call, const Who& who, QueueShare share, std::uint64_t cost, const QueueBounds& bounds,
              MonoTime now);
  // The next call of which `usable(call)`, without taking it out; null: none is.
  template <class Usable>
  [[nodiscard]] Call* next(const QueueBounds& bounds, const Usable& usable) noexcept;
  // It has its turn, and its user owes what it costs. REQUIRES: it waits.
  void serve(Call& call) noexcept;
  // There was nothing for it after all: it waits again, before the user's other calls. REQUIRES: it has its turn.
  void put_back(Call& call) noexcept;
  // It has used so many tokens. REQUIRES: it has its turn.
  void settle(Call& call, std::uint64_t tokens, MonoTime now) noexcept;
  // It waits no more. REQUIRES: it waits.
  void leave(Call& call, MonoTime now) noexcept;

  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  // How many calls have their turn before this one, as far as can be told now. REQUIRES: it waits.
  [[nodiscard]] std::size_t ahead_of(const Call& call) const noexcept;
  // Forgets users that have been gone for long enough.
  void forget(const QueueBounds& bounds, MonoTime now) noexcept;
  [[nodiscard]] bool knows_nobody() const noexcept { return users_.empty(); }

  struct Seen {
    Who who;
    QueueShare share;
    std::size_t waiting = 0, running = 0;
    std::uint64_t tokens = 0;  // used by calls that waited
    std::chrono::nanoseconds longest_wait{0};
  };
  // Everybody whom it knows.
  [[nodiscard]] std::vector<Seen> users(MonoTime now) const;

 private:
  using Round = std::int64_t;
  static constexpr std::uint64_t kRounds = 1'024;  // for each token of a user of weight 1
  static constexpr std::uint64_t kMostCost = 100'000'000;

  struct Order {
    bool operator()(const User& a, const User& b) const noexcept;
  };
  struct BySettled {
    bool operator()(const User& a, const User& b) const noexcept;
  };
  struct SettledTag;
  using OrderHook = boost::intrusive::set_base_hook<>;
  using SettledHook = boost::intrusive::set_base_hook<boost::intrusive::tag<SettledTag>>;
  struct User : OrderHook, SettledHook, boost::intrusive::list_base_hook<> {
    [[nodiscard]] Round mark() const noexcept { return settled + pending; }

    Who who;
    QueueShare share;
    Round settled = 0;
    Round pending = 0;         // estimates of its turns
    std::uint64_t served = 0;  // the number of its last turn; 0: it has had none
    std::uint64_t came = 0;    // the number of its coming
    boost::intrusive::list<Call> calls;
    std::uint64_t cost = 0;  // of these
    std::size_t running = 0;
    std::uint64_t tokens = 0;
    MonoTime gone;  // since when it has no call
  };
  struct Class {
    boost::intrusive::multiset<User, boost::intrusive::compare<Order>> users;
    boost::intrusive::multiset<User, boost::intrusive::compare<BySettled>, boost::intrusive::base_hook<SettledHook>>
        by_settled;    // the same
    Round served = 0;  // where the user of the last turn stood
    std::uint32_t passed_over = 0;
  };

  [[nodiscard]] Class& class_of(const User& user) noexcept {
    return classes_[static_cast<std::size_t>(user.share.priority)];
  }
  [[nodiscard]] const Class& class_of(const User& user) const noexcept {
    return classes_[static_cast<std::size_t>(user.share.priority)];
  }
  // Where those stand who have been served least.
  [[nodiscard]] static Round now_of(const Class& of) noexcept {
    return of.users.empty() ? of.served : of.by_settled.begin()->settled;
  }
  [[nodiscard]] static Round rounds(std::uint64_t tokens, const User& user) noexcept {
    return static_cast<Round>(tokens * kRounds / user.share.weight);
  }
  User& user_of(const Who& who, QueueShare share);
  void unlink(Call& call) noexcept;
  void begin_to_wait(User& user) noexcept;
  void note_gone(User& user, MonoTime now) noexcept;
  void take_out(User& user) noexcept;
  void put_in(User& user) noexcept;
  void forget(User& user) noexcept;
  template <class Usable>
  [[nodiscard]] static Call* next_of(Class& of, const Usable& usable) noexcept;

  std::array<Class, kPriorities> classes_;
  std::unordered_map<std::uint64_t, User> users_;  // by id and priority
  boost::intrusive::list<User> gone_;              // those without any call, the first gone first
  std::size_t waiting_ = 0;
  std::uint64_t count_ = 0;
};

template <class Usable>
FairQueue::Call* FairQueue::next_of(Class& of, const Usable& usable) noexcept {
  for (User& user : of.users) {
    for (Call& call : user.calls) {
      if (usable(call)) return &call;
    }
  }
  return nullptr;
}

template <class Usable>
FairQueue::Call* FairQueue::next(const QueueBounds& bounds, const Usable& usable) noexcept {
  for (Class& of : classes_) {
    if (of.passed_over < bounds.passed_over) continue;
    if (Call* const call = next_of(of, usable)) return call;
  }
  for (Class& of : classes_) {
    if (Call* const call = next_of(of, usable)) return call;
  }
  return nullptr;
}

}  // namespace sluice::upstream
