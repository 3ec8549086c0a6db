// Reads TOML text into Settings by walking the schema, and remembers where each value stood.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/loader.h"

namespace sluice::config {

// Collects what is wrong. Paths are "tls.key", "listener[0].address", "listener[0]", "tls".
class Findings final {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}

  void stands_at(const std::string& path, Position position) { positions_[path] = position; }
  void add(Position position, std::string text);
  // At the value of `path`; at its table where the file does not give it.
  void add(const std::string& path, std::string text, Severity severity = Severity::kError);
  // What is wrong with the value of `path` itself; null: nothing so far. Valid until the next add() or take().
  [[nodiscard]] const Diagnostic* found_at(const std::string& path) const;
  [[nodiscard]] const std::map<std::string, Position>& positions() const noexcept { return positions_; }
  // By position in the file.
  [[nodiscard]] std::vector<Diagnostic> take();
  // What is wrong in another file that this one names.
  void append(std::vector<Diagnostic> others) {
    for (Diagnostic& one : others) found_.push_back(std::move(one));
  }

 private:
  std::string file_;
  std::map<std::string, Position> positions_;
  std::vector<Diagnostic> found_;
};

// Where `path` stands: the value, or the nearest table around it that the file gives.
[[nodiscard]] Position position_of(const std::map<std::string, Position>& positions, std::string path);
// By position in the file.
void sort(std::vector<Diagnostic>& diagnostics);

// Syntax, unknown keys, types, bounds. Relative paths are joined to `folder`; secrets keep their reference only.
enum class Syntax : std::uint8_t { kGood, kBad };
Syntax read_toml(std::string_view text, const std::string& file, const std::string& folder, Settings& into,
                 Findings& findings);

// A price file: names and prices of models, and nothing else of them.
Syntax read_prices(std::string_view text, const std::string& file, std::vector<Model>& into, Findings& findings);

// The whole text of a file. Error: why it cannot be had; kNotFound where there is no such file.
inline constexpr std::size_t kMostFileBytes = 16 << 20;
absl::StatusOr<std::string> read_file(const std::string& path);

// What one value alone cannot show: duplicates, files, secrets (which it reads), what needs what.
void check(Settings& settings, const LoadOptions& options, const std::string& folder, Findings& findings);

// The known name that is nearest to `name`, or nothing near enough.
[[nodiscard]] std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace sluice::config
