// What outlives the process: callers, agents, budgets and audit records.
//
// The request path never comes here: the directory and the ledger hold in memory what it needs. Every function is one
// transaction: when it returns OK the change is on disk, otherwise nothing changed.
//
// Errors: kNotFound, kAlreadyExists as said below; kUnavailable (busy, disk full, unreachable: trying later helps);
// kDataLoss (the file is damaged); kInternal. Messages are one line and hold no secret.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal/usage_store.h"
#include "store/records.h"

namespace sluice::store {

// Thread:   one at a time: the control thread has a store of its own, the audit sink another. Calls block.
// Lifetime: views that are passed in are used during the call only.
class Store : public journal::UsageStore {
 public:
  // Opens what the store lies in, and makes or migrates its tables. Before it gave OK, everything else gives
  // kUnavailable; behind it, it does nothing. kUnavailable, kDataLoss: it may be tried again, once the store is back or
  // mended. kFailedPrecondition: no waiting helps (written by a newer version, a file of another program). One line
  // that says what to do.
  virtual absl::Status connect() = 0;
  // Whether a change could be made now: kUnavailable: another program holds the store locked, or connect() is to come.
  // Does not wait, as a change would.
  virtual absl::Status may_change() = 0;
  // Ends what is read now, and whatever is read from now on, with kCancelled. Of make_sqlite_reader()'s alone; any
  // thread.
  virtual void end_reads() noexcept = 0;
  // The store's own id, made with it: a restored store has that of the one which the backup was made of.
  virtual absl::StatusOr<std::string> id() = 0;

  // --- Callers. add_… gives the new id. kAlreadyExists: the name (or hash) is taken; kNotFound: no such tenant or
  // user. ---
  virtual absl::StatusOr<std::uint64_t> add_tenant(const TenantRecord& tenant) = 0;
  virtual absl::StatusOr<std::uint64_t> add_user(const UserRecord& user) = 0;
  // With its budgets (scope and subject are filled in): a key is never live without what was asked to hold it.
  virtual absl::StatusOr<std::uint64_t> add_key(const KeyRecord& key, std::span<const BudgetSpec> budgets) = 0;

  // Everything, in the order of ids.
  virtual absl::Status each_tenant(const std::function<void(TenantRecord&&)>& visit) = 0;
  // tenant_id 0: of every tenant.
  virtual absl::Status each_user(std::uint64_t tenant_id, const std::function<void(UserRecord&&)>& visit) = 0;
  virtual absl::Status each_key(const std::function<void(KeyRecord&&)>& visit) = 0;
  // kNotFound: no such id.
  virtual absl::StatusOr<TenantRecord> tenant(std::uint64_t id) = 0;
  virtual absl::StatusOr<UserRecord> user(std::uint64_t id) = 0;
  virtual absl::StatusOr<KeyRecord> key(std::uint64_t id) = 0;
  // By name; one that is not revoked before one that is. kNotFound.
  virtual absl::StatusOr<TenantRecord> find_tenant(std::string_view name) = 0;
  virtual absl::StatusOr<UserRecord> find_user(std::uint64_t tenant_id, std::string_view name) = 0;
  // At most `limit` with an id above `after`, in the order of ids.
  virtual absl::StatusOr<std::vector<KeyRecord>> list_keys(const KeyFilter& filter, std::uint64_t after,
                                                           std::size_t limit) = 0;

  // REQUIRES: scope is kKey, kUser or kTenant. kNotFound: no such id. Revoking twice keeps the first moment.
  virtual absl::Status set_limits(Scope scope, std::uint64_t id, const LimitSpec& limits) = 0;
  virtual absl::Status revoke(Scope scope, std::uint64_t id, WallTime now) = 0;
  // Suspends a key, or resumes it with nothing. kNotFound: no such key. Suspending twice keeps the first moment.
  virtual absl::Status set_suspended(std::uint64_t key_id, std::optional<WallTime> since) = 0;

  // Resumes every key and agent that a restore has suspended (store/restore.h), and says which.
  virtual absl::StatusOr<KeysAndAgents> resume_restored() = 0;
  // Writes name, expiry, limits, models and suspension of the key with this id, all or nothing. kNotFound: no such key.
  virtual absl::Status update_key(const KeyRecord& key) = 0;
  // Puts another secret in place of the key's, which stays good until `old_until`. kNotFound: no such key.
  virtual absl::Status rotate_key(std::uint64_t key_id, const identity::Sha256& hash, std::string_view hint,
                                  WallTime old_until) = 0;

  // --- Budgets ---
  virtual absl::StatusOr<std::vector<BudgetRecord>> budgets() = 0;
  virtual absl::StatusOr<std::vector<BudgetRecord>> budgets_of(Scope scope, std::uint64_t subject) = 0;
  // Adds or replaces the one of the same subject, unit, period and kind.
  virtual absl::Status set_budget(const BudgetRecord& budget) = 0;
  // kNotFound: there is none like it; its amount is not looked at.
  virtual absl::Status remove_budget(const BudgetRecord& budget) = 0;

  // --- Agents ---
  virtual absl::Status add_pairing_key(const identity::Sha256& hash, const identity::Binding& binding, WallTime now,
                                       WallTime expires) = 0;
  // Those that are neither consumed nor expired.
  virtual absl::StatusOr<std::vector<identity::Sha256>> pairing_keys(WallTime now) = 0;
  // Consumes the pairing key and makes the agent, bound as the key is, both or neither; of callers that race, one gets
  // it. kNotFound: no
  // such key, consumed already, or expired.
  virtual absl::StatusOr<AgentRecord> pair_agent(const identity::Sha256& pairing_key, std::string_view name,
                                                 WallTime now) = 0;
  // kNotFound: no such agent, or it is revoked.
  virtual absl::Status set_agent_certificate(std::uint64_t id, std::string_view fingerprint, WallTime expires) = 0;
  virtual absl::Status revoke_agent(std::uint64_t id, WallTime now) = 0;
  virtual absl::StatusOr<std::vector<AgentRecord>> agents() = 0;
  // What the agent serves now, in place of what was known. Those of revoked agents are not listed.
  virtual absl::Status set_known_models(std::uint64_t agent_id, std::span<const std::string> models, WallTime now) = 0;
  virtual absl::StatusOr<std::vector<KnownModel>> known_models() = 0;

  // --- Responses that model servers keep. An id that a place gives twice belongs to whom it was given last. ---
  // All of them in their order, or none.
  virtual absl::Status change_responses(std::span<const ResponseChange> changes) = 0;
  // The user's response with this id. kNotFound: there is none, it is another user's, it has expired or is to be erased.
  virtual absl::StatusOr<ResponseRecord> find_response(std::uint64_t user_id, std::string_view id, WallTime now) = 0;
  // Of each item the user's response that it is part of, in their order. kNotFound, as above: of one of them at least.
  virtual absl::StatusOr<std::vector<ResponseRecord>> find_responses_of_items(std::uint64_t user_id,
                                                                              std::span<const std::string_view> items,
                                                                              WallTime now) = 0;
  // At most `limit` of the user's that are of this kind, the newest first, behind the one with the id `after` (empty: from
  // the first on). kNotFound: there is none with that id.
  virtual absl::StatusOr<std::vector<ResponseRecord>> list_kept(std::uint64_t user_id, Kept kept,
                                                                std::string_view after, std::size_t limit,
                                                                WallTime now) = 0;
  // Forgets the user's oldest responses beyond `most`; as many files, and as many batches, stay, and older ones are to be
  // erased.
  virtual absl::Status trim_responses(std::uint64_t user_id, std::size_t most, WallTime now) = 0;
  // Forgets at most `limit` that have expired; gives how many.
  virtual absl::StatusOr<std::size_t> prune_responses(WallTime now, std::size_t limit) = 0;
  // What belongs to revoked users and tenants is to be erased from now on; gives how many there are.
  virtual absl::StatusOr<std::size_t> mark_responses_of_revoked(WallTime now) = 0;
  // At most `limit` that are to be erased, those that have been for longest first.
  virtual absl::StatusOr<std::vector<ResponseRecord>> responses_to_erase(std::size_t limit) = 0;

  // --- Calls that their places go on with by themselves ---
  // All of them, and the changes of responses, or nothing.
  virtual absl::Status keep_calls(std::span<const KeptCall> calls, std::span<const ResponseChange> responses) = 0;
  // Forgets those that were charged.
  virtual absl::Status drop_kept_calls(std::span<const KeptCall> calls) = 0;
  // Forgets those whose charge is among the audit records, and gives the rest. One whose beginning was charged as
  // crashed is `charged`. REQUIRES: what the journal holds of earlier processes has been delivered.
  virtual absl::StatusOr<std::vector<KeptCall>> kept_calls() = 0;

  // --- Secrets ---
  // In the order of names.
  virtual absl::StatusOr<std::vector<SecretRecord>> secrets() = 0;
  // Adds or replaces them, all or nothing.
  virtual absl::Status set_secrets(std::span<const SecretRecord> secrets) = 0;
  // kNotFound: there is none of this name.
  virtual absl::Status remove_secret(std::string_view name) = 0;

  // --- Audit; add(), sums(), add_seal() and seals() are the ledger's part of it ---
  // At most `limit` records behind `after`, oldest first; fewer than `limit`: there are no more.
  virtual absl::StatusOr<AuditPage> audit(const AuditFilter& filter, const AuditPlace& after, std::size_t limit) = 0;
  // Deletes at most `limit` records that began before `before`; gives how many. The sums stay.
  virtual absl::StatusOr<std::size_t> prune_audit(WallTime before, std::size_t limit) = 0;
};

}  // namespace sluice::store
