#include "dialect/answer.h"

#include <algorithm>

#include "base/text.h"
#include "dialect/endpoint.h"

namespace sluice::dialect {
namespace {

// White space, and the bytes of a byte order mark.
bool stands_before(char c) noexcept {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\xEF' || c == '\xBB' || c == '\xBF';
}

}  // namespace

void KeptIds::set_answer(std::string_view id) {
  if (answer_.empty() && is_stored_id(id)) answer_.assign(id);
}

void KeptIds::add_item(std::string_view id) {
  if (items_.size() == kMostItems || !is_stored_id(id)) return;
  if (std::ranges::find(items_, id) == items_.end()) items_.emplace_back(id);
}

AnswerKind kind_of(std::string_view bytes) noexcept {
  while (!bytes.empty() && stands_before(bytes.front())) bytes.remove_prefix(1);
  if (bytes.empty()) return AnswerKind::kUndecided;
  if (bytes.front() == '{') return AnswerKind::kObject;
  if (bytes.front() == '[') return AnswerKind::kArray;
  if (bytes.front() == ':') return AnswerKind::kEvents;
  for (const std::string_view field : {"data", "event", "id", "retry"}) {
    if (field.starts_with(bytes)) return AnswerKind::kUndecided;
    if (!bytes.starts_with(field)) continue;
    const char behind = bytes[field.size()];
    return behind == ':' || behind == '\n' || behind == '\r' ? AnswerKind::kEvents : AnswerKind::kOther;
  }
  return AnswerKind::kOther;
}

bool is_page(std::string_view bytes) noexcept {
  bytes = bytes.substr(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  for (const std::string_view begins : {"<!doctype html", "<html"}) {
    if (bytes.size() >= begins.size() && same_ignoring_case(bytes.substr(0, begins.size()), begins)) return true;
  }
  return false;
}

}  // namespace sluice::dialect
