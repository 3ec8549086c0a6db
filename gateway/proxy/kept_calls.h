// Calls that their places go on with by themselves: what each holds of budgets and limits is kept, over restarts too,
// until the gateway has asked after it and charged it once.
//
//   worker ──store()──▶ thread: the store has it ──▶ worker ──keep()──▶ held here, and only then its client hears the id
//   thread ──Asker──▶ a worker asks the place (proxy/ask_after) ──told()──▶ runs on: asked again later; over: charged
//
// A kept call is charged by a record of its own, (boot_id, settle_number) in whichever process; the record of the call
// that began it has no usage. So a crash between the record and the store's forgetting charges nothing twice: at the
// next start the store drops what has its record (store::Store::kept_calls). A crash before keep() leaves a call of the
// journal without an end, which is charged as crashed; what the store had of it is then ended and not charged.
//
// Another kind of call that is kept: a number in store::KeptCall::Kind, and how its place is asked (proxy/ask_after.cc).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/usage.h"
#include "identity/directory.h"
#include "journal/audit_record.h"
#include "ledger/ledger.h"
#include "net/signal.h"
#include "observe/log.h"
#include "store/store.h"

namespace sluice::proxy {

// What a place says of a call that it went on with.
struct KeptState {
  enum class What : std::uint8_t {
    kRunsOn,
    kOver,  // what follows says how
    kGone,  // the place knows no such call: what it used nobody can tell, and its reservation is charged
    kAway,  // the place could not be asked
  };
  What what = What::kAway;
  EndReason reason = EndReason::kCompleted;
  std::uint16_t status = 0;  // of its answer
  Usage usage;
  std::string model_served;
};

// Thread:   what workers call: any worker's; the rest the control thread's. Nothing waits for the store.
// Lifetime: outlives every worker; the ledger outlives it.
class KeptCalls final {
 public:
  // Each is a conf key.
  struct Options {
    std::chrono::milliseconds interval{2'000};           // until a call is first asked after; doubles each time
    std::chrono::milliseconds longest_interval{30'000};  // up to here
    std::chrono::milliseconds answer_time{15'000};       // of one question
    std::chrono::milliseconds life{24LL * 3600 * 1000};  // then it is ended, and charged what it holds
    std::size_t at_once = 8;                             // questions
    std::size_t most = 10'000;                           // calls
  };
  // `store` is connected when it is first needed, and used by nobody else.
  KeptCalls(std::unique_ptr<store::Store> store, ledger::Ledger& ledger, const Clock& clock, observe::Log& log,
            Options options);
  ~KeptCalls();
  KeptCalls(const KeptCalls&) = delete;
  KeptCalls& operator=(const KeptCalls&) = delete;

  void set_options(Options options);

  // --- At start, before any call is let in ---

  void record_to(journal::AuditSink& sink);
  // What the store has kept of an earlier process. `key` null: there is none any more. One that is here already is left.
  void hold_again(store::KeptCall call, const identity::Key* key, const ledger::Scopes& scopes);

  // --- Of workers ---

  // Whether there is room for another; to be asked before a call is sent.
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::chrono::milliseconds life() const;

  // A call on its way to the store, and what the place keeps of it for its user. `wake` is notified when it is `over`.
  // Lifetime: until it is over, or was withdrawn.
  struct Storing {
    net::Signal& wake;
    const store::KeptCall& call;
    std::optional<store::ResponseRecord> response{};
    bool over = false;
    bool stored = false;
  };
  void store(Storing& storing);
  // Nobody wants it any more. False: it is being stored, or was; it will be over soon.
  [[nodiscard]] bool withdraw(Storing& storing) noexcept;

  // Takes over what the call holds, in the turn of the loop that has seen it stored. One that could not be is ended.
  enum class Then : std::uint8_t { kRunsOn, kEnds };
  void keep(store::KeptCall call, const identity::Key& key, ledger::Ticket& ticket, Then then);
  // How it ended, from the stream that its client had of it: it is charged now, if it was not before.
  enum class Charged : std::uint8_t { kNow, kNot };
  Charged ended(const store::KeptCall& call, const KeptState& state);
  // The user has asked after it, or ended it: the next question is soon.
  void look_soon(std::uint64_t user_id, std::string_view id);
  [[nodiscard]] bool holds(std::uint64_t user_id, std::string_view id) const;

  // --- Asking ---

  struct Question {
    enum class How : std::uint8_t {
      kLook,
      kEnd,     // its key is no longer live, or it could not be stored
      kGiveUp,  // its time is over: it is charged after this, whatever the place says
    };
    store::KeptCall call;
    How how = How::kLook;
    std::chrono::milliseconds answer_time{0};
  };
  // Is given one question at a time, on this object's thread; told() is to be called once for each.
  using Asker = std::function<void(Question)>;
  void set_asker(Asker asker);  // null: none from now on; it is not running when this returns
  // Gives what was charged; none: it runs on. Thread: a worker's, so that what is charged has its record within one turn
  // of it.
  std::optional<Usage> told(const Question& question, const KeptState& state);

  // Somebody was revoked: what runs on of theirs ends.
  void look_at_revoked();

  [[nodiscard]] std::size_t count() const;

 private:
  struct Entry {
    store::KeptCall call;
    const identity::Key* key = nullptr;
    ledger::Ticket ticket;
    MonoTime next{};
    std::chrono::milliseconds interval{0};
    Then then = Then::kRunsOn;
    bool asked = false;  // a question is on its way
  };
  using Entries = std::multimap<std::string, std::unique_ptr<Entry>, std::less<>>;  // by the place's id

  void add(std::unique_ptr<Entry> entry);
  [[nodiscard]] Entries::iterator find(const store::KeptCall& call);
  Usage settle(Entries::iterator at, const KeptState& state);
  Usage settle_as_reserved(Entries::iterator at, EndReason reason);
  [[nodiscard]] static KeptState at_reservation(const Entry& entry, EndReason reason);
  void work() noexcept;
  void work_off();
  [[nodiscard]] MonoTime next_turn() const;
  absl::Status keep_all(const std::vector<Storing*>& waiting);
  void store_waiting(std::unique_lock<std::mutex>& lock);
  void ask_due();
  void record_waiting();
  void drop_charged(std::unique_lock<std::mutex>& lock);

  const std::unique_ptr<store::Store> store_;  // the thread's own
  ledger::Ledger& ledger_;
  const Clock& clock_;
  observe::Log& log_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  Options options_;
  journal::AuditSink* sink_ = nullptr;
  Entries entries_;
  std::vector<Storing*> storing_;
  std::vector<journal::AuditRecord> unrecorded_;  // the journal had no room
  std::vector<store::KeptCall> charged_;          // to be dropped from the store
  MonoTime next_drop_{};
  Asker asker_;
  std::size_t asking_ = 0;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace sluice::proxy
