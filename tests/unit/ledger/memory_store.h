// A store in memory that keeps the promises of UsageStore, and can be made to fail.
#pragma once

#include <map>
#include <mutex>

#include "ledger/usage_store.h"

namespace sluice::ledger {

class MemoryStore final : public UsageStore {
 public:
  absl::Status add(std::span<const AuditRecord> batch) override {
    const std::lock_guard lock(mutex);
    if (down) return absl::UnavailableError("the store is down");
    for (const AuditRecord& record : batch) records.try_emplace({record.boot_id, record.number}, record);
    ++batches;
    if (forget_answer) return absl::UnavailableError("the answer was lost");
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<UsageSum>> sums(std::int64_t since_day_us) override {
    const std::lock_guard lock(mutex);
    if (down) return absl::UnavailableError("the store is down");
    std::map<std::tuple<Scope, std::uint64_t, std::string>, UsageSum> by;
    for (const auto& [id, r] : records) {
      if (r.day_us < since_day_us) continue;
      const std::string model(r.model.view());
      const auto add = [&](Scope scope, std::uint64_t owner, const std::string& m) {
        UsageSum& sum = by.try_emplace({scope, owner, m}, UsageSum{scope, owner, m, 0, 0}).first->second;
        sum.tokens += r.usage.total();
        sum.cost_micros += r.cost_micros;
      };
      add(Scope::kKey, r.key_id, "");
      add(Scope::kUser, r.user_id, "");
      add(Scope::kTenant, r.tenant_id, "");
      add(Scope::kModel, 0, model);
      add(Scope::kUserModel, r.user_id, model);
    }
    std::vector<UsageSum> all;
    for (auto& [key, sum] : by) all.push_back(sum);
    return all;
  }
  absl::Status add_seal(const Seal& seal) override {
    const std::lock_guard lock(mutex);
    if (down) return absl::UnavailableError("the store is down");
    seal_by_sequence.try_emplace(seal.sequence, seal);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<Seal>> seals() override {
    const std::lock_guard lock(mutex);
    std::vector<Seal> all;
    for (const auto& [sequence, seal] : seal_by_sequence) all.push_back(seal);
    return all;
  }
  [[nodiscard]] std::uint64_t tokens() {
    const std::lock_guard lock(mutex);
    std::uint64_t sum = 0;
    for (const auto& [id, r] : records) sum += r.usage.total();
    return sum;
  }

  std::mutex mutex;
  std::map<std::pair<std::uint64_t, std::uint64_t>, AuditRecord> records;
  std::map<std::uint64_t, Seal> seal_by_sequence;
  int batches = 0;
  std::atomic<bool> down{false}, forget_answer{false};
};

}  // namespace sluice::ledger
