// Names of members as a model server may read them: some servers fold case.
#pragma once

#include <string_view>

#include "base/text.h"

namespace sluice::wire {

// What equals_folded() asks, byte by byte.
[[nodiscard]] bool folds_to(std::string_view text, std::string_view lower_case) noexcept;

// Whether a server that folds case could take `text` for `lower_case`. Most names are told by their length or their
// first letter: folding makes no text longer.
[[nodiscard]] inline bool equals_folded(std::string_view text, std::string_view lower_case) noexcept {
  if (text.size() < lower_case.size() || lower_case.empty()) return text.size() == lower_case.size();
  const char first = text.front();
  if (static_cast<unsigned char>(first) < 0x80 && sluice::lower_case(first) != lower_case.front()) return false;
  return folds_to(text, lower_case);
}

}  // namespace sluice::wire
