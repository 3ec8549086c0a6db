// One thread of the load generator: its connections, its schedule, its tally.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "load/client.h"
#include "load/options.h"
#include "load/tally.h"

namespace sluice::bench {

// Told when the measured window begins and ends (of the first driver only).
class WindowEvents {
 public:
  virtual void window_begins() = 0;
  virtual void window_ends() = 0;

 protected:
  ~WindowEvents() = default;
};

// Open loop: call number i is due at start + i / rate, whatever became of the calls before it, and its latency counts
// from there. A call that finds no free connection waits for one with its clock running, so a server that stalls is
// charged with every call that it kept waiting: no coordinated omission. Thread: run() is the thread.
class Driver final : public ClientEvents {
 public:
  Driver(const Options& options, const std::vector<std::string>& requests, SSL_CTX* tls, WindowEvents* window);
  ~Driver();

  // Opens the connections, warms up, measures, and returns. False: the connections could not be opened.
  bool run();
  [[nodiscard]] const Tally& tally() const noexcept { return tally_; }
  [[nodiscard]] double window_seconds() const noexcept { return static_cast<double>(window_to_ - window_from_) / 1e9; }

 private:
  enum class Phase : std::uint8_t { kOpening, kWarming, kMeasuring, kDraining, kEnd };

  void opened(Client& client) override;
  void received(Client& client, std::uint32_t events) override;
  void answered(Client& client) override;
  void failed(Client& client, Fault fault) override;

  void turn();
  void open_more(std::uint64_t now);
  void start_due(std::uint64_t now);
  void change_phase(std::uint64_t now);
  void begin_window(std::uint64_t now);
  void finish_unfinished(std::uint64_t now);
  void start_next(Client& client);
  void start_call(Client& client, std::uint64_t intended);
  void next_connection(Client& client, std::uint64_t when);
  void record(Client& client, std::uint64_t now);
  [[nodiscard]] std::uint64_t next_wake(std::uint64_t now) const noexcept;
  [[nodiscard]] bool counts(std::uint64_t intended) const noexcept {
    return window_from_ != 0 && intended >= window_from_ && intended < window_to_;
  }
  [[nodiscard]] bool starting() const noexcept { return phase_ <= Phase::kMeasuring; }
  [[nodiscard]] bool call_per_connection() const noexcept {
    return options_.mode == Mode::kStorm || options_.mode == Mode::kAbort;
  }

  const Options& options_;
  const std::vector<std::string>& requests_;
  WindowEvents* window_;
  int epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::deque<Client*> closed_;         // to be opened, each at its wake_at
  std::vector<Client*> free_;          // open loop: ready, with nothing to do
  std::deque<std::uint64_t> overdue_;  // open loop: due, with no connection free
  Phase phase_ = Phase::kOpening;
  std::uint64_t phase_until_ = 0;
  std::uint64_t window_from_ = 0;
  std::uint64_t window_to_ = 0;
  double interval_ns_ = 0;  // open loop
  double next_due_ = 0;
  std::size_t next_request_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t under_way_ = 0;
  std::uint32_t connecting_ = 0;
  std::uint32_t opened_once_ = 0;
  std::uint64_t early_faults_ = 0;
  Tally tally_;
};

}  // namespace sluice::bench
