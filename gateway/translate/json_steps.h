// Steps over objects and arrays of a text that is known to be JSON: a request that its dialect has read, an answer that a
// filter or a walk let pass.
#pragma once

#include <array>
#include <string_view>

#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::translate {

// each(name, value): both as they stand, escapes and all, to be copied. What is no object has no members.
template <class Each>
void each_member_as_it_stands(std::string_view object, Each&& each) {
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) each(member.name, member.value);
}

// The same with names to be known by: without their escapes (cut behind the 63rd byte where there are any). Written as it
// is, such a name could end its string and be any JSON.
template <class Each>
void each_member(std::string_view object, Each&& each) {
  std::array<char, 64> scratch;
  each_member_as_it_stands(
      object, [&](std::string_view name, std::string_view value) { each(wire::plain_name(name, scratch), value); });
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
