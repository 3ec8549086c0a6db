// Steps over objects and arrays of a text that is known to be JSON: a request that its dialect has read, an answer that a
// filter or a walk let pass.
#pragma once

#include <array>
#include <string_view>

#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::translate {

// each(name, value): the name without its escapes (cut behind its 63rd byte where it has any), the value as it stands.
// What is no object has no members.
template <class Each>
void each_member(std::string_view object, Each&& each) {
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return;
  wire::SkimMember member;
  std::array<char, 64> scratch;
  while (skimmer.member(member) == wire::Skim::kMember) each(wire::plain_name(member.name, scratch), member.value);
}

// each(element): as it stands. What is no array has no elements.
template <class Each>
void each_element(std::string_view array, Each&& each) {
  wire::Skimmer skimmer(array);
  if (skimmer.open('[') != wire::Skim::kMember) return;
  std::string_view element;
  while (skimmer.element(element) == wire::Skim::kMember) each(element);
}

[[nodiscard]] inline bool is_object(std::string_view value) noexcept { return value.starts_with('{'); }
[[nodiscard]] inline bool is_array(std::string_view value) noexcept { return value.starts_with('['); }
// The inside of a string, escapes and all; empty: it is none.
[[nodiscard]] inline std::string_view inside_of(std::string_view value) noexcept {
  return wire::is_string(value) ? wire::unquoted(value) : std::string_view();
}
// Whether the string `value` is `text`, however it is spelt. `text` has at most 63 bytes.
[[nodiscard]] inline bool is_text(std::string_view value, std::string_view text) noexcept {
  std::array<char, 64> scratch;
  const std::string_view inside = inside_of(value);
  return inside.size() <= 6 * scratch.size() && wire::plain_name(inside, scratch) == text;
}

}  // namespace sluice::translate
