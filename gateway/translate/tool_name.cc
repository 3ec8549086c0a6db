#include "translate/tool_name.h"

#include <charconv>
#include <optional>
#include <string>

namespace sluice::translate {
namespace {

constexpr std::string_view kSpaceMark = "ns";
constexpr std::string_view kGap = "__";

struct KindRow {
  ToolKind kind;
  std::string_view ending;
};
constexpr KindRow kKinds[] = {
    {ToolKind::kCustom, "__custom"}, {ToolKind::kShell, "__shell"}, {ToolKind::kFunction, "__function"}};

// The length that stands at the beginning of a name with a space, and what stands behind it.
struct Spaced {
  std::size_t length = 0;
  std::string_view rest;
};
std::optional<Spaced> read_space(std::string_view name) noexcept {
  if (!name.starts_with(kSpaceMark)) return std::nullopt;
  Spaced spaced;
  const char* const begin = name.data() + kSpaceMark.size();
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(begin, end, spaced.length);
  if (read.ec != std::errc() || read.ptr == begin) return std::nullopt;
  spaced.rest = name.substr(static_cast<std::size_t>(read.ptr - name.data()));
  if (!spaced.rest.starts_with(kGap)) return std::nullopt;
  spaced.rest.remove_prefix(kGap.size());
  return spaced;
}

const KindRow* row_at_end_of(std::string_view name) noexcept {
  for (const KindRow& row : kKinds) {
    if (name.ends_with(row.ending) && name.size() > row.ending.size()) return &row;
  }
  return nullptr;
}

}  // namespace

void append_function_name(WipedString& into, ToolKind kind, std::string_view space, std::string_view name) {
  const std::size_t begin = into.size();
  if (!space.empty() || read_space(name)) {
    into.append(kSpaceMark).append(std::to_string(space.size())).append(kGap);
    if (!space.empty()) into.append(space).append(kGap);
  }
  into.append(name);
  const bool plain = row_at_end_of(std::string_view(into).substr(begin)) == nullptr;
  for (const KindRow& row : kKinds) {
    if (row.kind == kind && (kind != ToolKind::kFunction || !plain)) into.append(row.ending);
  }
}

ToolName tool_of(std::string_view function_name) {
  ToolName tool;
  if (const KindRow* const row = row_at_end_of(function_name); row != nullptr) {
    tool.kind = row->kind;
    function_name.remove_suffix(row->ending.size());
  }
  if (const std::optional<Spaced> spaced = read_space(function_name)) {
    const std::string_view rest = spaced->rest;
    if (spaced->length == 0) {
      function_name = rest;
    } else if (rest.size() > spaced->length && rest.substr(spaced->length).starts_with(kGap)) {
      tool.space = rest.substr(0, spaced->length);
      function_name = rest.substr(spaced->length + kGap.size());
    }
  }
  tool.name = function_name;
  return tool;
}

}  // namespace sluice::translate
