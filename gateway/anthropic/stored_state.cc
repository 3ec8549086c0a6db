#include "anthropic/stored_state.h"

#include <algorithm>
#include <array>

#include "wire/folded_name.h"
#include "wire/raw_string.h"

namespace sluice::anthropic {
namespace {

#define SLUICE_STORED ", which the model server stores and this gateway cannot keep apart by tenant; "
#define SLUICE_OTHER_MODEL \
  " names a model beside 'model', whose right, price and output cap this gateway would not hold you to; "
constexpr std::array kRows{
    StateRow{Spot::kTop, "container", "'container' names a machine, files or skills" SLUICE_STORED "leave it out."},
    StateRow{Spot::kTop, "thread",
             "'thread' names a conversation" SLUICE_STORED
             "leave it out and send the whole conversation in 'messages'."},
    StateRow{Spot::kTop, "fallbacks",
             "'fallbacks'" SLUICE_OTHER_MODEL "leave it out, and ask again with the other model yourself."},
    StateRow{Spot::kParts, "file_id",
             "'file_id' names a file" SLUICE_STORED
             "send the content itself: a source of the type 'base64', 'text' or 'url'."},
    StateRow{Spot::kParts, "container_id", "'container_id' names a machine" SLUICE_STORED "leave it out."},
    StateRow{Spot::kTools, "model",
             "'model' of a tool" SLUICE_OTHER_MODEL "leave the tool out and ask the other model yourself."},
    StateRow{Spot::kTools, "file_id",
             "'file_id' of a tool names a file" SLUICE_STORED "send the content in a message."},
    StateRow{Spot::kTools, "container_id", "'container_id' of a tool names a machine" SLUICE_STORED "leave it out."},
    StateRow{Spot::kTools, "skill_id",
             "'skill_id' of a tool names a skill" SLUICE_STORED "send the skill's text in 'system'."},
    StateRow{Spot::kDiagnostics, "previous_message_id",
             "'diagnostics.previous_message_id' names an earlier answer" SLUICE_STORED "leave it out."},
};
#undef SLUICE_STORED
#undef SLUICE_OTHER_MODEL

// The caller's own names stand in the values of these.
constexpr std::string_view kOpaque[] = {"input", "input_schema", "metadata", "schema", "arguments"};
constexpr std::string_view kDefinition = "definition";  // of a tool, in a message that adds one
constexpr std::string_view kDiagnosticsName = "diagnostics";

// For each length the first letters of names that mean something inside a request, one bit a letter.
class NameFilter final {
 public:
  constexpr NameFilter() noexcept {
    for (const StateRow& row : kRows) add(row.name);
    for (const std::string_view name : kOpaque) add(name);
    add(kDefinition);
  }
  [[nodiscard]] constexpr bool may_hold(const char* name, std::size_t length) const noexcept {
    return length != 0 && length < letters_.size() && (letters_[length] & letter(name[0])) != 0;
  }

 private:
  static constexpr std::uint32_t letter(char c) noexcept { return 1U << (static_cast<unsigned char>(c) & 31U); }
  constexpr void add(std::string_view name) noexcept { letters_[name.size()] |= letter(name[0]); }

  std::array<std::uint32_t, wire::kPlainTextBytes> letters_{};  // REQUIRES: every name is shorter
};
constexpr NameFilter kFilter;

bool is_opaque(std::string_view name) noexcept {
  return std::ranges::any_of(kOpaque, [name](std::string_view opaque) { return wire::equals_folded(name, opaque); });
}

}  // namespace

std::span<const StateRow> stored_state() noexcept { return kRows; }

const StateRow* find_state(Spot spot, std::string_view name) noexcept {
  const auto row = std::ranges::find_if(kRows, [&](const StateRow& candidate) {
    return candidate.spot == spot && wire::equals_folded(name, candidate.name);
  });
  return row == kRows.end() ? nullptr : &*row;
}

Spot spot_inside(Spot spot, std::string_view name) noexcept {
  switch (spot) {
    case Spot::kNowhere:
      return Spot::kNowhere;
    case Spot::kTop:
      return wire::equals_folded(name, kDiagnosticsName) ? Spot::kDiagnostics : Spot::kNowhere;
    case Spot::kParts:
      if (is_opaque(name)) return Spot::kNowhere;
      return wire::equals_folded(name, kDefinition) ? Spot::kTools : Spot::kParts;
    case Spot::kTools:
      return is_opaque(name) ? Spot::kNowhere : Spot::kTools;
    case Spot::kDiagnostics:
      break;
  }
  return spot;
}

StateFound look_at(Spot spot, const char* raw) noexcept {
  const wire::RawName name = wire::measure(raw, wire::kPlainTextBytes);
  if (name.plain && !kFilter.may_hold(raw, name.length)) return {.row = nullptr, .inside = spot};
  std::array<char, wire::kPlainTextBytes> into;
  const std::string_view text = wire::plain_text(raw, into);
  return {.row = find_state(spot, text), .inside = spot_inside(spot, text)};
}

}  // namespace sluice::anthropic
