// `sluice demo-model`: a small OpenAI-compatible model server that needs no GPU. It is the upstream of the tests and of
// the benchmarks, and a tool for trying an SDK.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "demo/options.h"
#include "net/stream.h"

namespace sluice::demo {

// A demo model on threads of its own.
// Thread:   any, one at a time.
// Lifetime: serves until destruction, which closes every connection.
class DemoModel final {
 public:
  static absl::StatusOr<std::unique_ptr<DemoModel>> start(DemoOptions options);
  ~DemoModel();
  DemoModel(const DemoModel&) = delete;
  DemoModel& operator=(const DemoModel&) = delete;

  [[nodiscard]] const net::Endpoint& endpoint() const noexcept;
  // As GET /demo/stats.
  [[nodiscard]] std::string stats() const;

 private:
  struct State;
  explicit DemoModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Serves until SIGINT or SIGTERM. Prints "listening on http://HOST:PORT" when ready, or to stderr what is wrong;
// returns the program's exit code.
int run_demo_model(const DemoOptions& options);

}  // namespace sluice::demo
