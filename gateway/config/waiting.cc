#include "config/waiting.h"

#include <utility>

#include "config/keys.h"
#include "config/text.h"
#include "config/values.h"

namespace sluice::config {
namespace {

// The values of the keys that are read at start alone, as texts.
class StartValues final : public Keys {
 public:
  using Value = std::pair<std::string, std::string>;  // "server.workers", "4"

  [[nodiscard]] static std::vector<Value> of(Settings settings) {
    StartValues values;
    describe(settings, values);
    return std::move(values.values_);
  }

  void flag(const char* key, bool& value, const char*) override { note(key, value ? "true" : "false"); }
  void number(const char* key, std::uint64_t& value, Range, const char*) override { note(key, cat(value)); }
  void optional_number(const char* key, std::optional<std::uint64_t>& value, const char*) override {
    note(key, value ? cat(*value) : "");
  }
  void size(const char* key, std::size_t& value, Range, const char*) override { note(key, cat(value)); }
  void duration(const char* key, Duration& value, Times, const char*) override { note(key, format_duration(value)); }
  void text(const char* key, std::string& value, TextKind, const char*) override { note(key, value); }
  void texts(const char* key, std::vector<std::string>& value, TextKind, const char*) override {
    note(key, join(value, "\n"));
  }
  void secret(const char* key, Secret& value, const char*) override { note(key, value.reference); }
  void price(const char* key, std::uint64_t& micro_usd, const char*) override { note(key, cat(micro_usd)); }
  void budgets(const char* key, std::vector<BudgetSpec>& value, const char*) override {
    std::vector<std::string> texts;
    for (const BudgetSpec& budget : value) texts.push_back(format_budget(budget));
    note(key, join(texts, "\n"));
  }
  void choose(const char* key, unsigned& value, std::span<const std::string_view>, const char*) override {
    note(key, cat(value));
  }

 protected:
  bool begin_group(const char* name) override {
    group_ = cat(name, ".");
    return true;
  }
  void end_group() override { group_.clear(); }
  bool begin_table(const char* name, const char*) override {
    table_ = cat(group_, name);
    return true;
  }
  std::size_t begin_rows(const char* name, std::size_t have, const char*) override {
    table_ = name;
    return have;
  }
  bool begin_row(std::size_t) override { return true; }
  void end_table() override {}
  void end_rows() override {}

 private:
  void note(const char* key, std::string value) {
    if (take_read_at() == ReadAt::kStart) values_.emplace_back(cat(table_, ".", key), std::move(value));
  }

  std::string group_, table_;
  std::vector<Value> values_;
};

}  // namespace

std::vector<std::string> keys_that_wait(const Settings& running, const Settings& now) {
  const std::vector<StartValues::Value> before = StartValues::of(running), after = StartValues::of(now);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].second != after[i].second) keys.push_back(before[i].first);
  }
  return keys;
}

}  // namespace sluice::config
