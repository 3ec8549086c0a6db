// sluice-load: loads a server and prints one JSON object. See options.cc for what it can do.
#include <sys/prctl.h>
#include <time.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>

#include "load/driver.h"
#include "load/report.h"
#include "load/requests.h"

namespace {

using namespace sluice::bench;

double own_cpu() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

class Watcher final : public WindowEvents {
 public:
  explicit Watcher(const std::vector<int>& pids) : pids_(pids) { window_.at_start = look_at(pids); }
  void window_begins() override {
    window_.at_begin = look_at(pids_);
    window_.own_cpu_s = -own_cpu();
  }
  void window_ends() override {
    window_.at_end = look_at(pids_);
    window_.own_cpu_s += own_cpu();
  }
  [[nodiscard]] Window& window() noexcept { return window_; }

 private:
  const std::vector<int>& pids_;
  Window window_;
};

// What one of `threads` drivers does of the whole.
Options share_of(const Options& options, std::uint32_t thread) {
  Options share = options;
  share.connections = options.connections / options.threads + (thread < options.connections % options.threads ? 1 : 0);
  share.rate = options.rate / options.threads;
  share.calls = options.calls == 0 ? 0 : std::max<std::uint64_t>(options.calls / options.threads, 1);
  return share;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // the schedule of an open loop is in microseconds
  const Options options = parse_options(argc, argv);
  const std::vector<std::string> requests = prepare_requests(options);
  SSL_CTX* tls = options.tls ? make_client_tls() : nullptr;

  Watcher watcher(options.watch);
  std::vector<Options> shares;
  for (std::uint32_t i = 0; i < options.threads; ++i) shares.push_back(share_of(options, i));
  std::vector<std::unique_ptr<Driver>> drivers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    drivers.push_back(std::make_unique<Driver>(shares[i], requests, tls, i == 0 ? &watcher : nullptr));
  }
  std::vector<std::thread> threads;
  for (std::uint32_t i = 1; i < options.threads; ++i) threads.emplace_back([&driver = *drivers[i]] { driver.run(); });
  const bool measured = drivers[0]->run();
  for (std::thread& thread : threads) thread.join();

  if (!measured) {
    const Tally& tally = drivers[0]->tally();
    std::fprintf(stderr, "sluice-load: the connections could not be opened (last status %u)\n", tally.last_status);
    return 1;
  }
  Tally tally;
  for (const auto& driver : drivers) tally.merge(driver->tally());
  watcher.window().seconds = drivers[0]->window_seconds();
  std::puts(report(options, tally, watcher.window()).c_str());
  drivers.clear();
  SSL_CTX_free(tls);
  return 0;
}
