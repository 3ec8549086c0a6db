// All workers of the gateway: what is done to each of them from the control thread.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "identity/key_directory.h"
#include "server/conf.h"
#include "server/worker_thread.h"

namespace sluice::server {

// Thread:   control thread.
// Lifetime: stop() before destruction, if started.
class Workers final : public identity::RevocationListener {
 public:
  Workers(unsigned count, const Shared& shared);
  ~Workers() override;

  // An address that every worker listens on.
  struct Address {
    std::string conf;  // as the conf has it
    net::Endpoint bound;
    ListenerId id = 0;
  };
  // What a conf makes of the workers: everything that can fail, done before anything changes.
  struct Change {
    struct Upstream {
      upstream::DirectSettings settings;
      std::shared_ptr<upstream::Slots> slots;
      std::uint32_t count = 0;  // of slots
    };
    std::vector<Upstream> upstreams;
    std::vector<Address> addresses;                                         // in the order of the conf
    std::vector<ListenerId> opened;                                         // those of them that are new
    std::vector<std::vector<std::shared_ptr<const FrontSettings>>> fronts;  // by worker and address
  };
  // Opens what is to be listened on and is not yet, and reads what else the conf names. Errors say what and what to do;
  // then nothing has changed.
  [[nodiscard]] absl::StatusOr<Change> prepare(const config::Settings& settings, std::shared_ptr<SSL_CTX> tls);
  // Gives every worker its listeners and its upstreams, each under its number. Addresses that `change` does not name are
  // closed. Models and policies come from the ModelBook.
  void apply(const Change& change, const std::function<std::uint32_t(const std::string& upstream)>& number_of,
             const WorkerThread::Listed& listed);
  // What it opened stays open, for a later prepare() to find: at start, before anything is accepted.
  void keep(const Change& change);
  // Closes what prepare() opened.
  void abandon(const Change& change);
  // The addresses as bound, in the order of the conf.
  [[nodiscard]] std::vector<net::Endpoint> addresses() const;

  // Error: the system gives no more threads; those that had begun have ended.
  absl::Status start();

  // Returns when every worker has seen it. What model servers keep of a user will be erased there.
  void revoked(const identity::Tenant* tenant, const identity::User* user, const identity::Key* key) noexcept override;

  // Runs `work(WorkerThread&)` on each worker, later.
  template <class Work>
  void post_all(const Work& work) {
    for (const auto& worker : workers_) worker->post(work);
  }
  // The same, and waits until each has run it. REQUIRES: started; not called on a worker.
  void run_all(const std::function<void(WorkerThread&)>& work);

  // Returns when every worker has done what was posted to it before.
  void settle();

  // Ends the threads once their tasks have ended.
  void stop();

  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] WorkerThread& operator[](std::size_t index) noexcept { return *workers_[index]; }

 private:
  void end(std::size_t first_workers);
  // Runs `work` on the worker and waits; at once where it does not run yet.
  void on(WorkerThread& worker, const std::function<void(WorkerThread&)>& work);
  absl::Status open_missing(const config::Settings& settings, Change& change);
  absl::Status open(Address& address);
  [[nodiscard]] bool overlaps_own(const net::Endpoint& endpoint) const noexcept;

  const dialect::Table& dialects_;
  proxy::StoredResponses& responses_;
  proxy::KeptCalls& kept_calls_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::vector<Address> addresses_;
  ListenerId next_listener_ = 0;
  std::map<std::string, std::shared_ptr<upstream::Slots>> slots_;  // by upstream; shared: workers' places hold them
  bool started_ = false;
};

}  // namespace sluice::server
