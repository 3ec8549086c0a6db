// Which responses, files and batches model servers keep, whose they are and where: asked whenever a call names one.
//
//   workers ──add()──▶ what is new, in memory ──▶ thread ──▶ store
//   workers ──ask()──▶ thread: what is new, then the store ──▶ the call's signal
//
// An id is in memory before its client has seen it, so that the client's next call finds it on whichever worker; it
// reaches the store a moment later. A process that is killed forgets what had not: its client gets the answer of an id
// that nobody has. What the store does not take stays in memory up to a bound.
//
// Another user's id and one that nobody has are found by nobody in the same way: by user and id together.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dialect/call_body.h"
#include "net/signal.h"
#include "observe/log.h"
#include "store/store.h"

namespace sluice::proxy {

// A thread with a store of its own, and what has not reached the store.
// Thread:   what workers call: any worker's; the rest the control thread's. Nothing waits for the store.
// Lifetime: outlives every worker and every look-up; the destructor stores what it can.
class StoredResponses final {
 public:
  // Each is a conf key.
  struct Options {
    std::chrono::milliseconds keep{30LL * 24 * 3600 * 1000};
    std::size_t most_per_user = 10'000;
    std::chrono::milliseconds interval{200};  // between two writes
  };
  // `store` is connected when it is first needed, and used by nobody else.
  StoredResponses(std::unique_ptr<store::Store> store, const Clock& clock, observe::Log& log, Options options);
  ~StoredResponses();
  StoredResponses(const StoredResponses&) = delete;
  StoredResponses& operator=(const StoredResponses&) = delete;

  void set_options(Options options);

  // --- Of workers. Once these return, every look-up that begins later sees it. ---

  // A place has given the response, file or batch an id. `expires` is filled in here: files and batches stay until their
  // user deletes them.
  void add(store::ResponseRecord response);
  [[nodiscard]] WallTime expiry(WallTime created);  // of a response
  // A batch has made the file. Known already: nothing changes.
  void add_made(store::ResponseRecord file);
  // Items of its output. REQUIRES: user_id and id of a response that was added.
  void add_items(const store::ResponseRecord& response, std::vector<std::string> items);
  void forget(std::uint64_t user_id, std::string_view id);

  // Who keeps something.
  struct Keeper {
    std::string place, model;
    store::FileFacts file{};  // of a file or batch
  };
  // A list in place of one look-up: at most `limit` of the user's that are of this kind, the newest first, behind the one
  // with the id `after` (empty: from the first on).
  struct List {
    Kept kept = Kept::kFile;
    std::string after;
    std::size_t limit = 0;
    std::vector<store::ResponseRecord> found{};
  };
  // Everything that a call names must be the user's and at one place. What it gives stands in `result` once `wake` was
  // notified and `over` is true. Errors: kResponseNotFound, kFileNotFound, kBadRequest (at several places), kUnavailable
  // (the store cannot be asked).
  // Thread:   the worker that `wake` is on, between ask() and then but for its first members.
  // Lifetime: from ask() until it is over, or was withdrawn.
  struct LookUp {
    net::Signal& wake;
    std::uint64_t user_id;
    const dialect::StoredRefs& refs;
    List* list = nullptr;  // what is asked for instead; then `result` holds nothing but an error
    bool over = false;
    std::optional<Result<Keeper>> result{};
  };
  void ask(LookUp& look_up);
  // Nobody wants it any more. False: it is being looked up, or was; it will be over soon.
  [[nodiscard]] bool withdraw(LookUp& look_up) noexcept;

  // --- Erasure ---

  // Is given what belonged to revoked users, a few at a time, to delete it where it is kept: on this object's thread, and
  // again for the next few once erased() was called for each.
  using Eraser = std::function<void(std::vector<store::ResponseRecord>)>;
  void set_eraser(Eraser eraser);  // null: none from now on; it is not running when this returns
  enum class Erased : std::uint8_t {
    kDone,   // it is no longer there
    kLater,  // the place could not be asked
  };
  void erased(const store::ResponseRecord& response, Erased how);  // any thread
  void left_alone(std::size_t count) noexcept;  // so many of those handed over: the next sweep comes back to them
  // The store is there, or somebody was revoked.
  void sweep_soon();

 private:
  // What the store does not know yet of an id; the last that was said.
  struct News {
    std::uint64_t user_id = 0;
    std::shared_ptr<const store::ResponseRecord> response;  // of an item: what it is part of. Null: forgotten
    std::uint64_t sequence = 0;                             // of the change that said so
  };
  using NewsById = std::unordered_map<std::string, News>;
  struct Change {
    store::ResponseChange change;
    std::uint64_t sequence;
  };
  enum class Part : std::uint8_t { kResponse, kItem };

  [[nodiscard]] bool has_room();
  void push(store::ResponseChange change);
  void work() noexcept;
  void work_off();
  enum class Lists : std::uint8_t { kNow, kLater };
  void answer_waiting(Lists lists);
  void answer(LookUp& look_up);
  Result<Keeper> find(const LookUp& look_up);
  Result<Keeper> list(const LookUp& look_up);
  Result<store::ResponseRecord> find_answer(const LookUp& look_up);
  // Nothing: what is new does not say.
  std::optional<Result<store::ResponseRecord>> find_new(std::uint64_t user_id, const std::string& id, Part part);
  [[nodiscard]] bool is_stale(std::uint64_t user_id, const std::string& id, Part part,
                              const store::ResponseRecord& response);
  void write();
  absl::Status store_batch();
  void forget_news();
  void sweep();
  void tell(const absl::Status& status);

  // The thread's own.
  const std::unique_ptr<store::Store> store_;
  std::vector<store::ResponseChange> batch_;  // taken from `changes_`, and not in the store yet
  std::vector<std::uint64_t> sequences_;      // of the same
  MonoTime next_sweep_ = MonoTime::max();     // the first one is asked for, once the store is there
  std::optional<MonoTime> fails_since_;       // to write
  bool told_ = false;                         // the log says so

  const Clock& clock_;
  observe::Log& log_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  Options options_;
  NewsById responses_, items_;
  std::vector<Change> changes_;
  std::size_t batch_size_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t left_out_ = 0;  // for want of room
  std::deque<LookUp*> look_ups_;
  Eraser eraser_;
  std::size_t erasing_ = 0;
  bool sweep_soon_ = false;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace sluice::proxy
