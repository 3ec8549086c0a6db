// SqliteStore, one connection; its functions are spread over sqlite_callers.cc, sqlite_agents.cc, sqlite_budgets.cc,
// sqlite_responses.cc, sqlite_kept_calls.cc, sqlite_secrets.cc and sqlite_audit.cc.
#pragma once

#include <atomic>

#include "store/sqlite.h"
#include "store/sqlite_store.h"

namespace sluice::store {

class SqliteStore final : public Store {
 public:
  SqliteStore(std::string path, Durability durability, Database::Access access = Database::Access::kWrite)
      : path_(std::move(path)), durability_(durability), access_(access), database_(Database::closed(path_)) {}

  absl::Status connect() override;
  absl::Status may_change() override;
  void end_reads() noexcept override { reads_ended_.store(true, std::memory_order_relaxed); }
  absl::StatusOr<std::string> id() override;

  absl::StatusOr<std::uint64_t> add_tenant(const TenantRecord& tenant) override;
  absl::StatusOr<std::uint64_t> add_user(const UserRecord& user) override;
  absl::StatusOr<std::uint64_t> add_key(const KeyRecord& key, std::span<const BudgetSpec> budgets) override;
  absl::Status each_tenant(const std::function<void(TenantRecord&&)>& visit) override;
  absl::Status each_user(std::uint64_t tenant_id, const std::function<void(UserRecord&&)>& visit) override;
  absl::Status each_key(const std::function<void(KeyRecord&&)>& visit) override;
  absl::StatusOr<TenantRecord> tenant(std::uint64_t id) override;
  absl::StatusOr<UserRecord> user(std::uint64_t id) override;
  absl::StatusOr<KeyRecord> key(std::uint64_t id) override;
  absl::StatusOr<TenantRecord> find_tenant(std::string_view name) override;
  absl::StatusOr<UserRecord> find_user(std::uint64_t tenant_id, std::string_view name) override;
  absl::StatusOr<std::vector<KeyRecord>> list_keys(const KeyFilter& filter, std::uint64_t after,
                                                   std::size_t limit) override;
  absl::Status set_limits(Scope scope, std::uint64_t id, const LimitSpec& limits) override;
  absl::Status revoke(Scope scope, std::uint64_t id, WallTime now) override;
  absl::Status update_key(const KeyRecord& key) override;
  absl::Status rotate_key(std::uint64_t key_id, const identity::Sha256& hash, std::string_view hint,
                          WallTime old_until) override;
  absl::Status set_suspended(std::uint64_t key_id, std::optional<WallTime> since) override;
  absl::StatusOr<KeysAndAgents> resume_restored() override;

  absl::StatusOr<std::vector<BudgetRecord>> budgets() override;
  absl::StatusOr<std::vector<BudgetRecord>> budgets_of(Scope scope, std::uint64_t subject) override;
  absl::Status set_budget(const BudgetRecord& budget) override;
  absl::Status remove_budget(const BudgetRecord& budget) override;

  absl::Status add_pairing_key(const identity::Sha256& hash, const identity::Binding& binding, WallTime now,
                               WallTime expires) override;
  absl::StatusOr<std::vector<identity::Sha256>> pairing_keys(WallTime now) override;
  absl::StatusOr<AgentRecord> pair_agent(const identity::Sha256& pairing_key, std::string_view name,
                                         WallTime now) override;
  absl::Status set_agent_certificate(std::uint64_t id, std::string_view fingerprint, WallTime expires) override;
  absl::Status revoke_agent(std::uint64_t id, WallTime now) override;
  absl::StatusOr<std::vector<AgentRecord>> agents() override;
  absl::Status set_known_models(std::uint64_t agent_id, std::span<const std::string> models, WallTime now) override;
  absl::StatusOr<std::vector<KnownModel>> known_models() override;

  absl::Status change_responses(std::span<const ResponseChange> changes) override;
  absl::StatusOr<ResponseRecord> find_response(std::uint64_t user_id, std::string_view id, WallTime now) override;
  absl::StatusOr<std::vector<ResponseRecord>> find_responses_of_items(std::uint64_t user_id,
                                                                      std::span<const std::string_view> items,
                                                                      WallTime now) override;
  absl::StatusOr<std::vector<ResponseRecord>> list_kept(std::uint64_t user_id, Kept kept, std::string_view after,
                                                        std::size_t limit, WallTime now) override;
  absl::Status trim_responses(std::uint64_t user_id, std::size_t most, WallTime now) override;
  absl::StatusOr<std::size_t> prune_responses(WallTime now, std::size_t limit) override;
  absl::StatusOr<std::size_t> mark_responses_of_revoked(WallTime now) override;
  absl::StatusOr<std::vector<ResponseRecord>> responses_to_erase(std::size_t limit) override;

  absl::Status keep_calls(std::span<const KeptCall> calls, std::span<const ResponseChange> responses) override;
  absl::Status drop_kept_calls(std::span<const KeptCall> calls) override;
  absl::StatusOr<std::vector<KeptCall>> kept_calls() override;

  absl::StatusOr<std::vector<SecretRecord>> secrets() override;
  absl::Status set_secrets(std::span<const SecretRecord> secrets) override;
  absl::Status remove_secret(std::string_view name) override;

  absl::Status add(std::span<const journal::AuditRecord> records) override;
  absl::StatusOr<std::vector<ledger::UsageSum>> sums(const ledger::UsageQuery& query) override;
  absl::StatusOr<AuditPage> audit(const AuditFilter& filter, const AuditPlace& after, std::size_t limit) override;
  absl::StatusOr<std::size_t> prune_audit(WallTime before, std::size_t limit) override;
  absl::Status add_seal(const journal::Seal& seal) override;
  absl::StatusOr<std::vector<journal::Seal>> seals() override;

 private:
  absl::Status fill_models(KeyRecord& key);
  absl::Status add_models(std::uint64_t key_id, std::span<const std::string> models);

  const std::string path_;
  const Durability durability_;
  const Database::Access access_;
  std::atomic<bool> reads_ended_{false};
  Database database_;
};

// Makes them in their order. REQUIRES: a transaction is open, and ends without a commit after an error.
[[nodiscard]] absl::Status make_response_changes(Database& database, std::span<const ResponseChange> changes);

// What the store knows of itself. kNotFound: nothing of this name.
[[nodiscard]] absl::StatusOr<std::string> about(Database& database, std::string_view name);
inline constexpr std::string_view kSuspendedByRestore = "suspended_by_restore_us";

// Reads the seals of a database, whose tables may be of any version.
[[nodiscard]] absl::StatusOr<std::vector<journal::Seal>> seals_of(Database& database);

// kNotFound with `message` unless the last statement changed a row.
[[nodiscard]] inline absl::Status expect_change(const Database& database, const char* message) {
  return database.changes() > 0 ? absl::OkStatus() : absl::NotFoundError(message);
}

}  // namespace sluice::store
