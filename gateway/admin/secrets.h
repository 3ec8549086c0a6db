// Providers' keys: sealed in the store, opened for the upstreams that use them, shown to nobody.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "identity/master_key.h"
#include "identity/secret_key.h"
#include "store/store.h"

namespace sluice::admin {

// Errors: kInvalidArgument, kNotFound, kFailedPrecondition (no master key, or one that opens nothing), and the store's.
// Messages are one line that says what to do, and hold no secret.
// Thread:   control thread. Calls block on the store.
// Lifetime: store and clock outlive it.
class Secrets final {
 public:
  Secrets(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  // The texts that the conf's [secrets] refer to; empty: none. What `before` sealed can be opened, too.
  // kInvalidArgument: one of them is no master key; nothing has changed.
  absl::Status set_master_keys(std::string_view master, std::string_view before);
  // The names of the upstreams that use each secret, for lists; what is used is not removed.
  using Users = std::map<std::string, std::vector<std::string>>;
  void set_users(Users users) { users_ = std::move(users); }

  // Adds it, or replaces its value. A value is one line of visible characters.
  absl::Status set(const std::string& name, const identity::SecretText& value);
  absl::Status remove(const std::string& name);
  // Seals everything anew, with the master key of now; gives how many. All or nothing: one that cannot be opened stops it.
  absl::StatusOr<std::size_t> rotate();

  struct Listed {
    store::SecretRecord record;
    bool opens = false;  // with a master key of now
    std::vector<std::string> used_by;
  };
  absl::StatusOr<std::vector<Listed>> list();

  // By name, for upstreams.
  struct Opened {
    std::map<std::string, identity::SecretText, std::less<>> values;
    std::map<std::string, std::string, std::less<>> refused;  // what is in the store but cannot be opened, and why
  };
  absl::StatusOr<Opened> open_all();

 private:
  [[nodiscard]] std::optional<identity::SecretText> open(const store::SecretRecord& record) const;
  [[nodiscard]] absl::Status check_master_key() const;

  store::Store& store_;
  const Clock& clock_;
  std::optional<identity::MasterKey> master_, before_;
  Users users_;
};

}  // namespace sluice::admin
