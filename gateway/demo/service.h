// What all connections of a demo model share.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "demo/faults.h"
#include "demo/options.h"
#include "demo/stats.h"

namespace sluice::demo {

// Thread: any; only the counters change.
class Service final {
 public:
  // REQUIRES: options.faults names faults.
  explicit Service(DemoOptions options);

  [[nodiscard]] const DemoOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Faults& faults() const noexcept { return faults_; }
  [[nodiscard]] Stats& stats() noexcept { return stats_; }

  // Names as /v1/models lists them.
  [[nodiscard]] const std::vector<std::string>& models() const noexcept { return models_; }
  // Listed itself, or its name before ":fault=" is.
  [[nodiscard]] bool knows(std::string_view model) const noexcept;

  [[nodiscard]] std::uint64_t next_id() noexcept { return ids_.fetch_add(1, std::memory_order_relaxed); }

 private:
  DemoOptions options_;
  Faults faults_;
  std::vector<std::string> models_;
  Stats stats_;
  std::atomic<std::uint64_t> ids_;
};

// What stands behind ":fault=" in a model's name; empty: nothing.
[[nodiscard]] std::string_view fault_suffix(std::string_view model) noexcept;

[[nodiscard]] std::string model_object(std::string_view name);
[[nodiscard]] std::string model_list(const Service& service);
// {"error":{…}} with four keys.
[[nodiscard]] std::string error_object(std::string_view message, std::string_view type, std::string_view code);

}  // namespace sluice::demo
