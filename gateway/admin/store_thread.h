// A thread of its own for what may take the store long, on a connection of its own: an export walks over every record
// there is, and nothing else waits for it.
#pragma once

#include <absl/status/status.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/task.h"
#include "net/loop.h"
#include "net/signal.h"
#include "store/store.h"

namespace sluice::admin {

// Thread:   made, used and destroyed on the loop's thread; the work runs on its own.
// Lifetime: the loop outlives it; no run() is under way at destruction.
class StoreThread final {
 public:
  // `store` is connected when it is first needed; it is only read.
  StoreThread(net::Loop& loop, std::unique_ptr<store::Store> store) : loop_(loop), store_(std::move(store)) {}
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;
  ~StoreThread();

  // What `work` gives, once it is its turn. What it refers to outlives the call. Errors: kInternal where it throws,
  // kCancelled after end().
  template <class Result>
  Task<Result> run(std::function<Result(store::Store&)> work) {
    net::Signal done(loop_);
    std::optional<Result> result;
    add([this, &work, &done, &result](store::Store* store) {
      Result given = store == nullptr ? Result(absl::CancelledError(kEnded)) : guarded(work, *store);
      loop_.post([&done, &result, given = std::move(given)]() mutable {
        result.emplace(std::move(given));
        done.notify();
      });
    });
    while (!result) (void)co_await done.wait();
    co_return *std::move(result);
  }

  // Nothing is waited for any more: what runs is cut short, what waits for its turn ends now, as does what comes later.
  void end();

 private:
  // null: its turn does not come any more.
  using Job = std::function<void(store::Store*)>;
  static constexpr const char* kEnded = "the gateway is about to end";

  // An exception that left the thread would end the process.
  template <class Result>
  static Result guarded(const std::function<Result(store::Store&)>& work, store::Store& store) {
    try {
      (void)store.connect();  // a store that is not connected says so to whoever asks it
      return work(store);
    } catch (const std::exception& thrown) {
      return absl::InternalError(std::string("reading the store failed: ") + thrown.what());
    } catch (...) {
      return absl::InternalError("reading the store failed");
    }
  }
  void add(Job job);
  void work_off();

  net::Loop& loop_;
  std::unique_ptr<store::Store> store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // as many as there are exports under way
  bool ends_ = false;
  std::thread thread_;  // begins with the first job
};

}  // namespace sluice::admin
