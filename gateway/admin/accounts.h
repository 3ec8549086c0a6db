// Tenants, users, keys and their budgets: every change goes to the store first, then to the directory and the ledger,
// so that what a restart would load is what holds now.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "identity/key_directory.h"
#include "identity/secret_key.h"
#include "ledger/ledger.h"
#include "store/revocation_log.h"
#include "store/store.h"

namespace sluice::admin {

enum class Missing : std::uint8_t { kRefuse, kCreate };

// Names a tenant by its name or id, a user by its id or by tenant and name.
struct SubjectName {
  std::string tenant, user;
};

enum class SetBy : std::uint8_t { kCommand, kConf };

// Where a budget stands now.
struct BudgetStanding {
  store::BudgetRecord budget;                // of kUserModel with subject 0: what the conf gives each user on the model
  std::optional<ledger::Explanation> now{};  // nothing: nothing is used of it
  SetBy set_by = SetBy::kCommand;
};

// Errors: kNotFound, kAlreadyExists, kInvalidArgument, and the store's. Messages are one line that says what to do.
// Thread:   control thread. Calls block on the store; revoke() waits for the workers as well.
// Lifetime: all that it is given outlives it.
class Accounts final {
 public:
  Accounts(store::Store& store, identity::KeyDirectory& directory, ledger::Ledger& ledger, const Clock& clock)
      : store_(store), directory_(directory), ledger_(ledger), clock_(clock) {}

  // Fills directory and ledger; the caller says when the directory is to answer. After an error it may be called again.
  absl::Status load();

  // Says which models the conf has now: budgets of a user on a model apply to those. To be called after load() and
  // after each reload. The function gives a model's dense index; `conf_models`: the models' own budgets, for lists.
  using ModelIndex = std::function<std::optional<std::uint32_t>(std::string_view)>;
  struct ConfModel {
    std::string name;
    std::vector<BudgetSpec> budgets, user_budgets;
    Price price{};
  };
  void set_models(ModelIndex index, std::vector<ConfModel> conf_models = {});

  // What runs a change of budgets while calls run, and gives budgets that it made what their period has used. Without
  // it they begin at nothing.
  using BudgetChange = std::function<absl::Status(const std::function<void()>& set)>;
  void set_budget_change(BudgetChange change) { budget_change_ = std::move(change); }

  // Where revocations are written down as well: no backup holds them. Lifetime: outlives this.
  void keep_revocations(store::RevocationLog* log) noexcept { revocations_ = log; }

  // --- Tenants and users ---
  struct Terms {
    LimitSpec limits;
    std::vector<BudgetSpec> budgets;
  };
  absl::StatusOr<store::TenantRecord> create_tenant(const std::string& name, const Terms& terms);
  absl::StatusOr<store::UserRecord> create_user(const SubjectName& name, const Terms& terms, Missing tenant);
  absl::StatusOr<store::TenantRecord> tenant(std::string_view name_or_id);
  absl::StatusOr<store::UserRecord> user(const SubjectName& name);

  // --- Keys ---
  struct NewKey {
    SubjectName owner;
    Missing missing = Missing::kRefuse;  // owner: create what is not there
    std::vector<std::string> models;
    std::optional<WallTime> expires;
    Terms terms;
    std::string name{};  // for people; may be empty
  };
  struct CreatedKey {
    store::KeyRecord record;
    identity::SecretText secret;  // shown once, kept nowhere
  };
  absl::StatusOr<CreatedKey> create_key(const NewKey& key);
  enum class Suspension : std::uint8_t { kAsItIs, kSuspend, kResume };
  // What is not given stays.
  struct KeyChange {
    std::optional<std::string> name;
    std::optional<LimitSpec> limits;
    std::optional<std::optional<WallTime>> expires;  // given and empty: never
    std::optional<std::vector<std::string>> models;  // given and empty: every model
    Suspension suspension = Suspension::kAsItIs;
  };
  // All of it or nothing, but for the suspension, which comes last. kFailedPrecondition: the key is revoked, which is for
  // good.
  absl::Status update_key(std::uint64_t id, const KeyChange& change);
  // Another secret of the same key, so that limits and budgets go on; the one so far is good for `grace`, one that was
  // replaced before ends now. kFailedPrecondition: revoked.
  absl::StatusOr<CreatedKey> rotate_key(std::uint64_t id, std::chrono::milliseconds grace);

  // --- Changes. REQUIRES: scope is kKey, kUser or kTenant. ---
  absl::Status revoke(Scope scope, std::uint64_t id);
  // Until it is resumed a key is refused, and its running calls end.
  absl::Status suspend_key(std::uint64_t id);
  absl::Status resume_key(std::uint64_t id);
  // What a restore has suspended is good again. Agents are the caller's to tell.
  absl::StatusOr<store::KeysAndAgents> resume_restored();
  absl::Status set_limits(Scope scope, std::uint64_t id, const LimitSpec& limits);
  // Scope kKey, kUser, kTenant or kUserModel. Give how the budget stands, its period's use so far included; a removed
  // one as it stood.
  absl::StatusOr<BudgetStanding> set_budget(const store::BudgetRecord& budget);
  absl::StatusOr<BudgetStanding> remove_budget(const store::BudgetRecord& budget);
  // All, those of the conf's models too.
  absl::StatusOr<std::vector<BudgetStanding>> budgets();
  // Whether the budget is in USD and no model that it covers has a price in the conf: nothing will be charged to it.
  [[nodiscard]] bool charges_nothing(const store::BudgetRecord& budget) const noexcept;
  // Every limit and budget that a call with this key on this model would meet, and how it stands. `model` may be empty:
  // those of models are left out. kNotFound: no such key, or the conf has no such model.
  absl::StatusOr<std::vector<ledger::Explanation>> explain(std::uint64_t key_id, const std::string& model);

  // For lists: "acme" and "ada" of a user's id. Nothing: unknown.
  [[nodiscard]] std::optional<SubjectName> names_of_user(std::uint64_t user_id);

 private:
  using BudgetsOf = std::map<std::pair<Scope, std::uint64_t>, std::vector<store::BudgetRecord>>;
  [[nodiscard]] identity::Subject* subject(Scope scope, std::uint64_t id) noexcept;
  [[nodiscard]] static identity::Allowance allowance_of(const LimitSpec& limits, const BudgetsOf& budgets, Scope scope,
                                                        std::uint64_t id);
  absl::Status check_budget(const store::BudgetRecord& budget);
  // Takes over what the store says about one subject's budgets.
  absl::Status refresh(Scope scope, std::uint64_t id, const std::optional<LimitSpec>& limits);
  absl::Status change_budgets(const store::BudgetRecord& budget);
  void apply(identity::Tenant& tenant, identity::Allowance allowance);
  void apply(identity::User& user, identity::Allowance allowance);
  void apply(identity::Key& key, identity::Allowance allowance);
  void tell_ledger(const identity::Tenant& tenant);
  void tell_ledger(const identity::User& user);
  void tell_ledger(const identity::Key& key);
  void tell_user_models(const identity::User& user, const std::vector<identity::ModelBudget>& before);
  absl::StatusOr<store::KeyRecord> unrevoked_key(std::uint64_t id);
  absl::StatusOr<store::UserRecord> user_for(const SubjectName& name, Missing missing);
  [[nodiscard]] std::optional<ledger::Explanation> standing(const store::BudgetRecord& budget);
  void append_model_budgets(const ConfModel& model, std::vector<BudgetStanding>& into);
  void append_user_shares(std::vector<BudgetStanding>& into);

  store::Store& store_;
  identity::KeyDirectory& directory_;
  ledger::Ledger& ledger_;
  const Clock& clock_;
  store::RevocationLog* revocations_ = nullptr;
  ModelIndex model_index_;
  std::vector<ConfModel> conf_models_;
  BudgetChange budget_change_;
};

}  // namespace sluice::admin
