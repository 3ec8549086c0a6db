// One worker: a thread, its loop, and everything that lives on it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/listener.h"
#include "observe/log.h"
#include "server/front.h"
#include "server/loop_lag.h"
#include "upstream/catalog.h"
#include "upstream/direct.h"

namespace sluice::server {

// What all workers share: immutable, or made of atomics.
struct Shared {
  const identity::Directory& directory;
  const Clock& clock;
  const observe::Meters& meters;
  observe::Metrics& metrics;
  observe::Log& log;
  proxy::BufferedBytes& buffered;
  proxy::Doubts& doubts;
  ConnectionCount& connections;
  std::uint64_t boot_id;
};

// Thread:   the constructor, start(), post() and join() belong to the control thread; everything else to the worker, by
//           post().
// Lifetime: finish(), then join(), before destruction, if started.
class WorkerThread final {
 public:
  WorkerThread(unsigned index, const Shared& shared);

  // Runs the loop on a thread of its own, and begins to accept. Until then no task runs, and the worker may simply go.
  // Throws std::system_error where the system gives no thread.
  void start();
  // Runs `work(*this)` on the worker, later.
  template <class Work>
  void post(Work work) {
    loop_.post([this, work = std::move(work)]() mutable { work(*this); });
  }
  void join();

  // Accepts from `listener`, once started, and treats connections as `settings` say; a reload changes them for those
  // that come later.
  void listen(std::unique_ptr<net::Listener> listener, std::shared_ptr<const FrontSettings> settings);
  void set_front_settings(std::size_t listener, std::shared_ptr<const FrontSettings> settings);
  void set_tunnel_handler(Front::TunnelHandler handler) { front_.set_tunnel_handler(std::move(handler)); }
  // `learned` is called, on the worker, with a model that is known and not configured; returns its settings. The
  // catalog says which those are at its next change.
  using Learned = std::function<proxy::ModelSettings(const std::string& model)>;
  void set_conf(std::shared_ptr<const proxy::Conf> conf, Learned learned);
  // The direct upstreams from now on; calls on others run to their end.
  void set_upstreams(std::vector<std::shared_ptr<upstream::DirectPlace>> places);

  void drain() noexcept;        // no new connection; idle ones close; running calls go on
  void end_revoked() noexcept;  // calls whose key is no longer live end now
  void cut() noexcept;          // running calls end with an error that asks for a retry
  void close_all() noexcept;    // whatever is still open closes now
  void finish();                // the thread ends once its tasks have

  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  [[nodiscard]] net::TaskGroup& tasks() noexcept { return tasks_; }
  [[nodiscard]] proxy::Worker& worker() noexcept { return worker_; }
  [[nodiscard]] upstream::Catalog& catalog() noexcept { return catalog_; }
  // Awaited on the worker before its tasks are waited for: what else has to end.
  void set_closing(std::function<Task<void>()> closing) { closing_ = std::move(closing); }

 private:
  struct Listening {
    std::unique_ptr<net::Listener> listener;
    std::shared_ptr<const FrontSettings> settings;  // shared: connections keep what they began with
  };
  void accept_from(Listening& listening);
  void learn(const std::string& model);
  void offer(const upstream::DirectPlace* place, const upstream::ModelList& models);

  net::Loop loop_;
  observe::Log& log_;
  net::TaskGroup tasks_;
  proxy::WorkerMetrics metrics_;
  proxy::Worker worker_;
  LoopLag lag_;
  upstream::Catalog catalog_;
  Learned learned_;
  std::function<Task<void>()> closing_;
  Front front_;
  std::vector<std::unique_ptr<Listening>> listening_;
  std::vector<std::shared_ptr<upstream::DirectPlace>> upstreams_;  // shared: leases hold them
  std::map<std::string, std::size_t> left_out_;                    // of each one's last list
  asio::executor_work_guard<Executor> work_;
  std::thread thread_;
};

}  // namespace sluice::server
