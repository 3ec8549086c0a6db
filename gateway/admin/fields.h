// Reads the members of a request's body: types are checked, unknown members refused, the first error kept.
#pragma once

#include <absl/status/status.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "identity/secret_key.h"

namespace sluice::admin {

// Lifetime: the object outlives it.
class Fields final {
 public:
  explicit Fields(const json::object& object) : object_(object) {}

  [[nodiscard]] bool has(const char* name) const { return object_.if_contains(name) != nullptr; }
  [[nodiscard]] std::string text(const char* name);             // empty: absent
  [[nodiscard]] identity::SecretText secret(const char* name);  // the same, in memory that is wiped
  [[nodiscard]] bool flag(const char* name);                    // false: absent
  [[nodiscard]] std::vector<std::string> texts(const char* name);
  // "limits": {"rpm": 60, "tpm": null, "concurrency": 4}. Members that are absent keep what `now` says; null lifts the
  // limit.
  [[nodiscard]] LimitSpec limits(const LimitSpec& now = {});
  // "budgets": ["tokens:1000000/month", "usd:25/day soft"]
  [[nodiscard]] std::vector<BudgetSpec> budgets();
  // "budget": one of them. REQUIRED.
  [[nodiscard]] BudgetSpec budget();

  // The first thing that was wrong; kInvalidArgument. To be asked when every member has been read.
  [[nodiscard]] absl::Status finish();

 private:
  const json::value* find(const char* name);
  void wrong(const std::string& message);

  const json::object& object_;
  std::set<std::string> read_;
  absl::Status status_;
};

}  // namespace sluice::admin
