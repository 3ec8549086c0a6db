// Where something is wrong, and which known name was meant.

#include <algorithm>

#include "config/reader.h"
#include "config/text.h"

namespace sluice::config {

std::string Diagnostic::to_string() const {
  const std::string_view kind = severity == Severity::kWarning ? "warning: " : "";
  return line == 0 ? cat(file, ": ", kind, text) : cat(file, ":", line, ":", column, ": ", kind, text);
}

Position position_of(const std::map<std::string, Position>& positions, std::string path) {
  while (true) {
    if (const auto found = positions.find(path); found != positions.end()) return found->second;
    const std::size_t end = path.find_last_of(".[");
    if (end == std::string::npos) return {};
    path.resize(end);
  }
}

void sort(std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
}

void Findings::add(Position position, std::string text) {
  found_.push_back({file_, position.line, position.column, std::move(text), Severity::kError});
}

void Findings::add(const std::string& path, std::string text, Severity severity) {
  const Position at = position_of(positions_, path);
  found_.push_back({file_, at.line, at.column, std::move(text), severity});
}

const Diagnostic* Findings::found_at(const std::string& path) const {
  const auto at = positions_.find(path);
  if (at == positions_.end()) return nullptr;
  const auto found = std::ranges::find_if(
      found_, [&](const Diagnostic& one) { return one.line == at->second.line && one.column == at->second.column; });
  return found == found_.end() ? nullptr : &*found;
}

std::vector<Diagnostic> Findings::take() {
  sort(found_);
  return std::move(found_);
}

namespace {

// Insertions, deletions, replacements and swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    // A name of which one is a part of the other is near as well: "timeout" and "head_timeout".
    const bool part = name.size() > 3 && (candidate.find(name) != std::string_view::npos ||
                                          name.find(candidate) != std::string_view::npos);
    const std::size_t distance = part ? 1 : name.size() > 64 ? 64 : edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace sluice::config
