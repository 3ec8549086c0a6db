// A store in memory that keeps the promises of UsageStore, and can be made to fail.
#pragma once

#include <map>
#include <mutex>

#include "journal/usage_store.h"

namespace sluice::journal {

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
  absl::StatusOr<std::vector<ledger::UsageSum>> sums(const ledger::UsageQuery& query) override {
    const std::lock_guard lock(mutex);
    if (down) return absl::UnavailableError("the store is down");
    std::map<std::tuple<Scope, std::uint64_t, std::string>, ledger::UsageSum> by;
    for (const Scope scope : {Scope::kKey, Scope::kUser, Scope::kTenant, Scope::kModel, Scope::kUserModel}) {
      if (query.scope && *query.scope != scope) continue;
      ledger::UsageQuery of_scope = query;
      of_scope.scope = scope;
      for (const auto& [id, record] : records) {
        const std::optional<ledger::UsageSum> share = share_of(of_scope, record);
        if (!share) continue;
        ledger::UsageSum& sum =
            by.try_emplace({scope, share->id, share->model}, ledger::UsageSum{scope, share->id, share->model, 0, 0})
                .first->second;
        sum.tokens += share->tokens;
        sum.cost_micros += share->cost_micros;
      }
    }
    std::vector<ledger::UsageSum> all;
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

}  // namespace sluice::journal
