// All workers of the gateway: what is done to each of them from the control thread.
#pragma once

#include <absl/status/status.h>

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

  // Opens every listener on every worker. Errors say which address and what to do.
  absl::Status listen(const config::Settings& settings, const net::ServerTls* tls);
  // The addresses as bound, in the order of the conf.
  [[nodiscard]] const std::vector<net::Endpoint>& addresses() const noexcept { return addresses_; }

  // Gives every worker its listeners' settings and its upstreams, each under its number; a reload calls it again.
  // Nothing changes if it fails. Models and policies come from the ModelBook.
  absl::Status apply(const config::Settings& settings, const net::ServerTls* tls,
                     const std::function<std::uint32_t(const std::string& upstream)>& number_of,
                     const WorkerThread::Listed& listed);
  // Error: the system gives no more threads; those that had begun have ended.
  absl::Status start();

  // Returns when every worker has seen it.
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

  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::vector<net::Endpoint> addresses_;
  std::map<std::string, std::shared_ptr<upstream::Slots>> slots_;  // by upstream; shared: workers' places hold them
  bool started_ = false;
};

}  // namespace sluice::server
