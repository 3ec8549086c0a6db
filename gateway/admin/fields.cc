#include "admin/fields.h"

#include "config/loader.h"

namespace sluice::admin {

void Fields::wrong(const std::string& message) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(message);
}

const json::value* Fields::find(const char* name) {
  read_.insert(name);
  return object_.if_contains(name);
}

std::string Fields::text(const char* name) {
  const json::value* value = find(name);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_string()) {
    wrong(std::string(name) + " must be a text");
    return {};
  }
  return std::string(value->get_string().data(), value->get_string().size());
}

identity::SecretText Fields::secret(const char* name) {
  const json::value* value = find(name);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_string()) {
    wrong(std::string(name) + " must be a text");
    return {};
  }
  return {value->get_string().data(), value->get_string().size()};
}

bool Fields::flag(const char* name) {
  const json::value* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_bool()) wrong(std::string(name) + " must be true or false");
  return value->is_bool() && value->get_bool();
}

std::vector<std::string> Fields::texts(const char* name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  std::vector<std::string> all;
  if (const json::array* array = value->if_array()) {
    for (const json::value& one : *array) {
      if (one.is_string())
        all.emplace_back(one.get_string().data(), one.get_string().size());
      else
        wrong(std::string(name) + " must hold texts");
    }
  } else {
    wrong(std::string(name) + " must be a list of texts");
  }
  return all;
}

LimitSpec Fields::limits(const LimitSpec& now) {
  LimitSpec limits = now;
  const json::value* value = find("limits");
  if (value == nullptr) return limits;
  const json::object* object = value->if_object();
  if (object == nullptr) {
    wrong("limits must be an object with rpm, tpm, concurrency");
    return limits;
  }
  for (const auto& member : *object) {
    const std::string name(member.key().data(), member.key().size());
    std::optional<std::uint64_t>* limit = name == "rpm"   ? &limits.requests_per_minute
                                          : name == "tpm" ? &limits.tokens_per_minute
                                                          : &limits.concurrency;
    if (name != "rpm" && name != "tpm" && name != "concurrency") {
      wrong("limits." + name + " is not known; there are rpm, tpm, concurrency");
    } else if (member.value().is_null()) {
      limit->reset();
    } else if (member.value().is_int64() && member.value().get_int64() > 0) {
      *limit = static_cast<std::uint64_t>(member.value().get_int64());
    } else {
      wrong("limits." + name + " must be a whole number of at least 1, or null for no limit");
    }
  }
  return limits;
}

std::vector<BudgetSpec> Fields::budgets() {
  std::vector<BudgetSpec> all;
  for (const std::string& text : texts("budgets")) {
    const auto budget = config::parse_budget(text);
    if (budget.ok())
      all.push_back(*budget);
    else
      wrong(std::string(budget.status().message()));
  }
  return all;
}

BudgetSpec Fields::budget() {
  const auto budget = config::parse_budget(text("budget"));
  if (budget.ok()) return *budget;
  wrong(std::string(budget.status().message()));
  return {};
}

absl::Status Fields::finish() {
  for (const auto& member : object_) {
    const std::string name(member.key().data(), member.key().size());
    if (!read_.contains(name)) wrong("member " + name + " is not known here");
  }
  return status_;
}

}  // namespace sluice::admin
