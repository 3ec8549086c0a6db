#include "cli/table.h"

#include <algorithm>
#include <vector>

namespace sluice::cli {
namespace {

std::string cell_of(const json::value& value);

std::string joined(const json::array& array) {
  std::string text;
  for (const json::value& one : array) {
    const json::object* object = one.if_object();
    const json::value* name = object == nullptr ? nullptr : object->if_contains("name");
    text += (text.empty() ? "" : ", ") + cell_of(name == nullptr ? one : *name);
  }
  return text;
}

// Members that say nothing are left out: "rpm 60".
std::string joined(const json::object& object) {
  std::string text;
  for (const auto& member : object) {
    if (member.value().is_null()) continue;
    text += (text.empty() ? "" : ", ") + std::string(member.key().data(), member.key().size()) + " " +
            cell_of(member.value());
  }
  return text;
}

std::string cell_of(const json::value& value) {
  if (value.is_null()) return "-";
  if (const json::string* text = value.if_string())
    return text->empty() ? "-" : std::string(text->data(), text->size());
  if (const json::array* array = value.if_array()) return array->empty() ? "-" : joined(*array);
  if (const json::object* object = value.if_object()) {
    std::string text = joined(*object);
    return text.empty() ? "-" : text;
  }
  return json::serialize(value);
}

// Characters, so that columns of UTF-8 names line up.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string rows_of(const json::array& array, std::span<const std::string_view> columns) {
  std::vector<std::vector<std::string>> rows(1);
  rows[0].assign(columns.begin(), columns.end());
  for (const json::value& one : array) {
    const json::object* object = one.if_object();
    if (object == nullptr) {
      rows.push_back({cell_of(one)});
      continue;
    }
    for (const auto& member : *object) {
      const std::string name(member.key().data(), member.key().size());
      if (columns.empty() && std::ranges::find(rows[0], name) == rows[0].end()) rows[0].push_back(name);
    }
    auto& row = rows.emplace_back();
    for (const std::string& name : rows[0]) {
      const json::value* value = object->if_contains(name);
      row.push_back(value == nullptr ? "-" : cell_of(*value));
    }
  }
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (auto& row : rows) {
    row.resize(std::max(row.size(), rows[0].size()));
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string as_table(const json::value& value, std::span<const std::string_view> columns) {
  if (const json::array* array = value.if_array()) return array->empty() ? "none\n" : rows_of(*array, columns);
  const json::object* object = value.if_object();
  if (object == nullptr) return cell_of(value) + "\n";
  std::string text;
  for (const auto& member : *object)
    text += std::string(member.key().data(), member.key().size()) + ": " + cell_of(member.value()) + "\n";
  return text;
}

}  // namespace sluice::cli
