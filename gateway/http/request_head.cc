#include "http/request_head.h"

#include "base/text.h"

namespace sluice::http {

std::string_view Fields::operator[](Field id) const noexcept {
  for (const Line& line : lines_) {
    if (line.id == id) return line.value;
  }
  return {};
}

std::string_view Fields::operator[](std::string_view name) const noexcept {
  for (const Line& line : lines_) {
    if (same_ignoring_case(line.name, name)) return line.value;
  }
  return {};
}

}  // namespace sluice::http
