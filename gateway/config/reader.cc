// The one file that sees toml++. Header-only and without exceptions: the shared library is built with them.
#include "config/reader.h"

#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#undef TOML_EXCEPTIONS
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cmath>
#include <set>

#include "config/keys.h"
#include "config/text.h"
#include "config/values.h"

namespace sluice::config {
namespace {

Position position_of(const toml::source_region& source) { return {source.begin.line, source.begin.column}; }

class Reader final : public Keys {
 public:
  Reader(const toml::table& root, const std::string& folder, Findings& findings)
      : root_(root), folder_(folder), findings_(findings) {}

  void flag(const char* key, bool& value, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto read = node->value_exact<bool>();
    if (!read) return wrong(*node, key, "is true or false");
    value = *read;
  }

  void number(const char* key, std::uint64_t& value, Range range, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto read = node->value_exact<std::int64_t>();
    const bool fits = read && *read >= 0 && static_cast<std::uint64_t>(*read) >= range.least &&
                      static_cast<std::uint64_t>(*read) <= range.most;
    if (!fits) return wrong(*node, key, cat("is a whole number from ", range.least, " to ", range.most));
    value = static_cast<std::uint64_t>(*read);
  }

  void optional_number(const char* key, std::optional<std::uint64_t>& value, const char* help) override {
    std::uint64_t read = 0;
    number(key, read, {1, Range{}.most}, help);
    if (read != 0) value = read;
  }

  void size(const char* key, std::size_t& value, Range range, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto text = node->value_exact<std::string_view>();
    const auto read = parse_size(text.value_or(""));
    if (!read.ok())
      return wrong(*node, key, "is a text of a whole number with a unit: \"512B\", \"64KiB\", \"16MiB\", \"1GiB\"");
    if (*read < range.least || *read > range.most) {
      return wrong(*node, key, cat("is from ", format_size(range.least), " to ", format_size(range.most)));
    }
    value = *read;
  }

  void duration(const char* key, Duration& value, Times times, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto text = node->value_exact<std::string_view>();
    const auto read = parse_duration(text.value_or(""));
    if (!read.ok())
      return wrong(*node, key, "is a text of a whole number with a unit: \"10ms\", \"30s\", \"15m\", \"2h\", \"30d\"");
    if (*read < times.least || *read > times.most) {
      return wrong(*node, key, cat("is from ", format_duration(times.least), " to ", format_duration(times.most)));
    }
    value = *read;
  }

  void text(const char* key, std::string& value, TextKind kind, const char*) override {
    const toml::node* node = find(key);
    const bool needed = kind == TextKind::kNeeded && value.empty();
    if (node == nullptr) {
      if (needed) findings_.add(path_, cat(key, " is missing in ", shown_table()));
      return;
    }
    const auto read = node->value_exact<std::string>();
    if (!read) return wrong(*node, key, "is a text in quotes");
    if (read->find('\0') != std::string::npos) return wrong(*node, key, "holds no NUL");
    if (read->empty() && kind == TextKind::kNeeded) return wrong(*node, key, "is not empty");
    value = kind == TextKind::kPath ? joined(*read) : *read;
  }

  void texts(const char* key, std::vector<std::string>& value, TextKind, const char*) override {
    std::vector<std::string> read;
    if (read_texts(key, read)) value = std::move(read);
  }

  void secret(const char* key, Secret& value, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto read = node->value_exact<std::string>();
    // Says nothing of the value: it may be the secret itself.
    const bool reference = read && (read->empty() || read->starts_with("file:") || read->starts_with("env:") ||
                                    read->starts_with(kInStore));
    if (!reference) return wrong(*node, key, "is a secret, never written here: give \"file:PATH\" or \"env:NAME\"");
    value.reference = *read;
  }

  void price(const char* key, std::uint64_t& micro_usd, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto read = node->is_number() ? node->value<double>() : std::nullopt;
    if (!read || !(*read >= 0 && *read <= 1e9))
      return wrong(*node, key, "is a number of USD per million tokens, 0 or more");
    micro_usd = static_cast<std::uint64_t>(std::llround(*read * 1e6));
  }

  void budgets(const char* key, std::vector<BudgetSpec>& value, const char*) override {
    std::vector<std::string> read;
    if (!read_texts(key, read)) return;
    value.clear();
    for (std::size_t i = 0; i < read.size(); ++i) {
      const auto budget = parse_budget(read[i]);
      if (budget.ok()) {
        value.push_back(*budget);
      } else {
        findings_.add(cat(path_, ".", key, "[", i, "]"), std::string(budget.status().message()));
      }
    }
  }

  void choose(const char* key, unsigned& value, std::span<const std::string_view> names, const char*) override {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto read = node->value_exact<std::string_view>();
    for (unsigned i = 0; i < names.size(); ++i) {
      if (read && *read == names[i]) {
        value = i;
        return;
      }
    }
    wrong(*node, key, cat("is one of \"", join(names, "\", \""), "\""));
  }

  // Keys on the top level that no table of the schema has.
  void finish() { report_unknown(root_, tables_, "table"); }

 protected:
  // Where nothing in the file begins so, there is nothing to read.
  bool begin_group(const char* name) override {
    tables_.emplace_back(name);
    const toml::node* node = root_.get(name);
    if (node == nullptr) return false;
    group_ = node->as_table();
    group_name_ = cat(name, ".");
    if (group_ == nullptr) findings_.add(position_of(node->source()), cat(name, " holds tables: [", name, ".NAME]"));
    return group_ != nullptr;
  }
  void end_group() override {
    report_unknown(*group_, group_tables_, "policy with settings");
    group_ = nullptr;
    group_name_.clear();
    group_tables_.clear();
  }

  bool begin_table(const char* name, const char*) override {
    (group_ == nullptr ? tables_ : group_tables_).emplace_back(name);
    const toml::node* node = group_ == nullptr ? root_.get(name) : group_->get(name);
    if (node == nullptr) return false;
    const std::string path = cat(group_name_, name);
    if (node->as_table() == nullptr) {
      findings_.add(position_of(node->source()), cat(path, " is one table: [", path, "]"));
      return false;
    }
    enter(*node->as_table(), path);
    return true;
  }

  std::size_t begin_rows(const char* name, std::size_t, const char*) override {
    tables_.emplace_back(name);
    rows_name_ = name;
    rows_ = nullptr;
    const toml::node* node = root_.get(name);
    if (node == nullptr) return 0;
    rows_ = node->as_array();
    if (rows_ == nullptr || !rows_->is_array_of_tables()) {
      findings_.add(position_of(node->source()), cat(name, " is a table that may be repeated: [[", name, "]]"));
      return 0;
    }
    return rows_->size();
  }
  bool begin_row(std::size_t index) override {
    enter(*rows_->get(index)->as_table(), cat(rows_name_, "[", index, "]"));
    return true;
  }
  void end_table() override { report_unknown(*table_, keys_, "key"); }
  void end_rows() override {}

 private:
  void enter(const toml::table& table, std::string path) {
    table_ = &table;
    path_ = std::move(path);
    keys_.clear();
    findings_.stands_at(path_, position_of(table.source()));
  }

  const toml::node* find(const char* key) {
    keys_.emplace_back(key);
    const toml::node* node = table_->get(key);
    if (node != nullptr) findings_.stands_at(cat(path_, ".", key), position_of(node->source()));
    return node;
  }

  void wrong(const toml::node& node, const char* key, std::string_view text) {
    findings_.add(position_of(node.source()), cat(key, " ", text));
  }

  [[nodiscard]] std::string shown_table() const {
    const std::string name = path_.substr(0, path_.find('['));
    return name == path_ ? cat("[", name, "]") : cat("[[", name, "]]");
  }

  [[nodiscard]] std::string joined(const std::string& path) const {
    if (path.empty() || path.starts_with('/') || folder_.empty()) return path;
    return cat(folder_, "/", path);
  }

  bool read_texts(const char* key, std::vector<std::string>& into) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      wrong(*node, key, "is a list of texts: [\"…\", \"…\"]");
      return false;
    }
    for (const toml::node& item : *array) {
      const auto read = item.value_exact<std::string>();
      if (!read || read->empty()) {
        wrong(item, key, "holds texts that are not empty");
        return false;
      }
      findings_.stands_at(cat(path_, ".", key, "[", into.size(), "]"), position_of(item.source()));
      into.push_back(*read);
    }
    return true;
  }

  void report_unknown(const toml::table& table, const std::vector<std::string_view>& known, std::string_view what) {
    for (const auto& [key, node] : table) {
      if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
      const std::string_view near = nearest(key.str(), known);
      const std::string hint = !near.empty()   ? cat("did you mean ", near, "?")
                               : known.empty() ? "there is none here"
                                               : cat("known are: ", join(known, ", "));
      const Position at = position_of(key.source().begin ? key.source() : node.source());
      findings_.add(at, cat("unknown ", what, " ", std::string_view(key.str()), "; ", hint));
    }
  }

  const toml::table& root_;
  const std::string& folder_;
  Findings& findings_;
  const toml::table* group_ = nullptr;  // null: outside of one
  std::string group_name_;              // "policy."
  std::vector<std::string_view> group_tables_;
  const toml::table* table_ = nullptr;
  const toml::array* rows_ = nullptr;
  std::string rows_name_;
  std::string path_;
  std::vector<std::string_view> keys_;  // of table_, as the schema names them
  std::vector<std::string_view> tables_;
};

}  // namespace

Syntax read_toml(std::string_view text, const std::string& file, const std::string& folder, Settings& into,
                 Findings& findings) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    findings.add(position_of(parsed.error().source()), std::string(parsed.error().description()));
    return Syntax::kBad;
  }
  Reader reader(parsed.table(), folder, findings);
  describe(into, reader);
  reader.finish();
  return Syntax::kGood;
}

Syntax read_prices(std::string_view text, const std::string& file, std::vector<Model>& into, Findings& findings) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    findings.add(position_of(parsed.error().source()), std::string(parsed.error().description()));
    return Syntax::kBad;
  }
  const std::string no_folder;
  Reader reader(parsed.table(), no_folder, findings);
  describe_price_file(into, reader);
  reader.finish();
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < into.size(); ++i) {
    Model prices_alone;
    prices_alone.name = into[i].name;
    prices_alone.price = into[i].price;
    const std::string at = cat("model[", i, "]");
    if (into[i] != prices_alone)
      findings.add(at, "a price file says what a model costs; the rest stands in the conf file");
    if (!into[i].name.empty() && !seen.insert(into[i].name).second)
      findings.add(at + ".name", cat("model ", into[i].name, " is given twice"));
  }
  return Syntax::kGood;
}

}  // namespace sluice::config
