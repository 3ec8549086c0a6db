// One worker: a thread, its loop, and everything that lives on it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "net/listener.h"
#include "observe/log.h"
#include "server/front.h"
#include "server/loop_lag.h"
#include "server/outages.h"
#include "upstream/direct.h"

namespace sluice::server {

// What all workers share: immutable, or made of atomics.
struct Shared {
  const dialect::Table& dialects;
  const identity::Directory& directory;
  const Clock& clock;
  const observe::Meters& meters;
  observe::Metrics& metrics;
  observe::Log& log;
  HeldBytes& held;
  proxy::Doubts& doubts;
  proxy::LargeBodies& large_bodies;
  proxy::StoredResponses& responses;
  proxy::KeptCalls& kept_calls;
  Outages& outages;
  Outages& unlisted;  // of those whose models nobody knows
  Outages& lacking;   // of those whose list lacks a model that the conf names
  ConnectionCount& connections;
  std::uint64_t boot_id;
};

// A listening address, the same on every worker.
using ListenerId = std::uint32_t;
struct ListeningAs {
  ListenerId id = 0;
  std::shared_ptr<const FrontSettings> settings;  // shared: connections keep what they began with
};

// Thread:   the constructor, start(), post() and join() belong to the control thread; everything else to the worker, by
//           post().
// Lifetime: finish(), then join(), before destruction, if started.
class WorkerThread final {
 public:
  WorkerThread(unsigned index, const Shared& shared);

  // Runs the loop on a thread of its own. Until then no task runs, and the worker may simply go.
  // Throws std::system_error where the system gives no thread.
  void start();
  // Runs `work(*this)` on the worker, later.
  template <class Work>
  void post(Work work) {
    loop_.post([this, work = std::move(work)]() mutable { work(*this); });
  }
  void join();

  // Keeps a listener that was opened on this worker's loop, under a number that no other has had. Nothing is accepted
  // before set_listening() names it.
  void hold(ListenerId id, std::unique_ptr<net::Listener> listener);
  // From now on these are accepted from, and connections to come treated as the settings say. The others are closed;
  // connections that came in by them, also those that the kernel has taken already, are served to their end.
  void set_listening(const std::vector<ListeningAs>& listening);
  void drop(ListenerId id) noexcept;  // one that was never named
  void set_tunnel_handler(Front::TunnelHandler handler) { front_.set_tunnel_handler(std::move(handler)); }
  void set_models(std::shared_ptr<const proxy::Conf> conf, std::shared_ptr<const upstream::Models> models);
  // The direct upstreams from now on, by their numbers; null: no such upstream any more. Calls on others run to their
  // end. `listed` is called, on the worker, with what each has told and whenever that changes; nothing: it could not be
  // asked.
  using Listed = std::function<void(const std::string& upstream, const std::optional<upstream::ModelList>& models)>;
  void set_upstreams(std::vector<std::shared_ptr<upstream::DirectPlace>> places, Listed listed);

  // Deletes these where they are kept.
  void erase(std::vector<store::ResponseRecord> responses);
  // Asks a place after what it goes on with by itself.
  void ask(proxy::KeptCalls::Question question);

  void drain() noexcept;        // no new connection; idle ones close; running calls go on
  void end_revoked() noexcept;  // calls whose key is no longer live end now
  void cut() noexcept;          // running calls end with an error that asks for a retry
  void close_all() noexcept;    // whatever is still open closes now
  void finish();                // the thread ends once its tasks have

  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  [[nodiscard]] net::TaskGroup& tasks() noexcept { return tasks_; }
  [[nodiscard]] proxy::Worker& worker() noexcept { return worker_; }
  // Awaited on the worker before its tasks are waited for: what else has to end.
  void set_closing(std::function<Task<void>()> closing) { closing_ = std::move(closing); }

 private:
  struct Listening {
    std::unique_ptr<net::Listener> listener;
    std::shared_ptr<const FrontSettings> settings;  // null: not accepted from
  };
  using ListeningPtr = std::shared_ptr<Listening>;  // shared: one that is closed lives until it has noticed
  Task<void> accept_from(ListeningPtr listening);
  void close(Listening& listening) noexcept;
  void hear(const upstream::DirectPlace* place, const upstream::ModelList& models);
  void note_outage(const upstream::DirectPlace& place);

  net::Loop loop_;
  observe::Log& log_;
  Outages& outages_;
  Outages& unlisted_;
  Outages& lacking_;
  net::TaskGroup tasks_;
  proxy::WorkerMetrics metrics_;
  proxy::Worker worker_;
  LoopLag lag_;
  Listed listed_;
  std::function<Task<void>()> closing_;
  Front front_;
  std::map<ListenerId, ListeningPtr> listening_;
  struct Upstream {
    std::shared_ptr<upstream::DirectPlace> place;  // shared: leases hold it
    bool told = false;
    std::optional<upstream::ModelList> list;  // as `listed_` was told
  };
  std::vector<Upstream> upstreams_;  // by number
  asio::executor_work_guard<Executor> work_;
  std::thread thread_;
};

}  // namespace sluice::server
