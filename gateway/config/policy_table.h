// [policy.NAME]: settings that a policy brings along. The conf knows them as keys like all others, with their defaults,
// bounds and help; the policy knows their type.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::config {

class Keys;

// The values of one such table. A policy derives its own from PolicySettingsOf, not from this.
class PolicySettings {
 public:
  virtual ~PolicySettings() = default;
  // Visits every key, as the tables of schema.cc do.
  virtual void describe(Keys& keys) = 0;
  [[nodiscard]] virtual std::unique_ptr<PolicySettings> clone() const = 0;
  [[nodiscard]] virtual bool same_as(const PolicySettings& other) const = 0;
};

// struct Mine final : PolicySettingsOf<Mine> { members; void describe(Keys&) override; bool operator==(…) const; };
template <class T>
class PolicySettingsOf : public PolicySettings {
 public:
  [[nodiscard]] std::unique_ptr<PolicySettings> clone() const final {
    return std::make_unique<T>(static_cast<const T&>(*this));
  }
  [[nodiscard]] bool same_as(const PolicySettings& other) const final {
    const T* same_type = dynamic_cast<const T*>(&other);
    return same_type != nullptr && *same_type == static_cast<const T&>(*this);
  }
  bool operator==(const PolicySettingsOf&) const noexcept { return true; }  // has no members of its own
};

// A policy as the conf knows it: by its name in [policies] order, and by its table if it has one.
struct KnownPolicy {
  std::string_view name;
  const char* help = "";                                    // of the table; one line
  std::unique_ptr<PolicySettings> (*defaults)() = nullptr;  // null: it has no settings
};

// One table with its values; copied with them.
class PolicyTable final {
 public:
  PolicyTable(const KnownPolicy& policy) : name_(policy.name), help_(policy.help), values_(policy.defaults()) {}
  PolicyTable(const PolicyTable& other) : name_(other.name_), help_(other.help_), values_(other.values_->clone()) {}
  PolicyTable(PolicyTable&&) noexcept = default;
  PolicyTable& operator=(PolicyTable other) noexcept {
    name_.swap(other.name_);
    std::swap(help_, other.help_);
    values_.swap(other.values_);
    return *this;
  }
  ~PolicyTable() = default;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const char* help() const noexcept { return help_; }
  [[nodiscard]] PolicySettings& values() noexcept { return *values_; }
  [[nodiscard]] const PolicySettings& values() const noexcept { return *values_; }
  bool operator==(const PolicyTable& other) const { return name_ == other.name_ && values_->same_as(*other.values_); }

 private:
  std::string name_;
  const char* help_;
  std::unique_ptr<PolicySettings> values_;
};

}  // namespace sluice::config
