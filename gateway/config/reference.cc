#include "config/reference.h"

#include "config/keys.h"
#include "config/text.h"
#include "config/values.h"

namespace sluice::config {
namespace {

constexpr const char* kOpening =
    "# The conf file of Sluice: every key, its default, and what it is for.\n"
    "# `sluice check --config FILE` says what is wrong with a file; SIGHUP or `sluice reload` applies a changed one, "
    "and says\n"
    "# which changed keys wait for a restart: those that are \"read at start alone\".\n"
    "# Durations (\"30s\") and sizes (\"16MiB\") carry units. Secrets are references: \"file:PATH\" or \"env:NAME\".\n"
    "# Relative paths count from this file's folder. A key that is left out has the default shown here.\n";

std::string in_quotes(std::string_view text) { return cat("\"", text, "\""); }

class Writer final : public Keys {
 public:
  [[nodiscard]] std::string take() { return std::move(out_); }

  void flag(const char* key, bool& value, const char* help) override { line(key, value ? "true" : "false", help); }
  void number(const char* key, std::uint64_t& value, Range, const char* help) override { line(key, cat(value), help); }
  void optional_number(const char* key, std::optional<std::uint64_t>& value, const char* help) override {
    if (value) return line(key, cat(*value), help);
    out_ += cat("# ", help, "; left out: no limit\n#", key, " = 60\n");
  }
  void size(const char* key, std::size_t& value, Range, const char* help) override {
    line(key, in_quotes(format_size(value)), help);
  }
  void duration(const char* key, Duration& value, Times, const char* help) override {
    line(key, in_quotes(format_duration(value)), help);
  }
  void text(const char* key, std::string& value, TextKind kind, const char* help) override {
    const char* example = kind == TextKind::kUrl      ? "http://127.0.0.1:11434"
                          : kind == TextKind::kNeeded ? "example"
                                                      : "";
    line(key, in_quotes(value.empty() ? example : value), help);
  }
  void texts(const char* key, std::vector<std::string>& value, TextKind, const char* help) override {
    list(key, value, help);
  }
  void secret(const char* key, Secret& value, const char* help) override {
    line(key, in_quotes(value.reference), help);
  }
  void price(const char* key, std::uint64_t& micro_usd, const char* help) override {
    line(key, format_usd(micro_usd), help);
  }
  void budgets(const char* key, std::vector<BudgetSpec>& value, const char* help) override {
    std::vector<std::string> texts;
    for (const BudgetSpec& budget : value) texts.push_back(format_budget(budget));
    list(key, texts, help);
  }
  void choose(const char* key, unsigned& value, std::span<const std::string_view> names, const char* help) override {
    line(key, in_quotes(names[value]), help);
  }

 protected:
  bool begin_group(const char* name) override {
    group_ = cat(name, ".");
    return true;
  }
  void end_group() override { group_.clear(); }
  bool begin_table(const char* name, const char* help) override {
    out_ += cat("\n# ", help, "\n", "[", group_, name, "]\n");
    return true;
  }
  std::size_t begin_rows(const char* name, std::size_t have, const char* help) override {
    prefix_ = have == 0 ? "#" : "";
    out_ += cat("\n# ", help, "\n", prefix_, "[[", name, "]]\n");
    return std::max<std::size_t>(have, 1);
  }
  bool begin_row(std::size_t) override { return true; }
  void end_table() override {}
  void end_rows() override { prefix_ = ""; }

 private:
  void line(const char* key, std::string_view value, const char* help) {
    const char* when = take_read_at() == ReadAt::kStart ? "; read at start alone" : "";
    out_ += cat("# ", help, when, "\n", prefix_, key, " = ", value, "\n");
  }
  void list(const char* key, const std::vector<std::string>& values, const char* help) {
    std::vector<std::string> shown;
    for (const std::string& value : values) shown.push_back(in_quotes(value));
    line(key, cat("[", join(shown, ", "), "]"), help);
  }

  std::string out_ = kOpening, group_;
  const char* prefix_ = "";
};

}  // namespace

std::string reference_conf() {
  Settings defaults;
  defaults.listeners.emplace_back();
  Writer writer;
  describe(defaults, writer);
  return writer.take();
}

}  // namespace sluice::config
