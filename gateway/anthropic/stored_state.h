// The members of a request that reach beyond the call itself: what the model server stores (containers, threads, files,
// earlier answers), and other models than the one that the caller's right, prices and cap were looked up for. One table
// names them all, as the reference of Anthropic's API has them with every beta. A model server knows one key, the
// gateway's, so what it stored for one tenant it would show to any other who names it.
//
// Names mean this only where the model server reads them: the input of a tool, its schema and metadata are the caller's
// own words.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::anthropic {

// Where in a request a walk is.
enum class Spot : std::uint8_t {
  kNowhere,      // names are the caller's own
  kTop,          // the body's own members
  kParts,        // inside 'messages' and 'system'
  kTools,        // inside 'tools', or a tool's definition in a message
  kDiagnostics,  // inside 'diagnostics'
};

struct StateRow {
  Spot spot;
  std::string_view name;  // in lower case
  const char* refusal;    // what the client is told
};

// The whole table.
[[nodiscard]] std::span<const StateRow> stored_state() noexcept;

// The row of the member `name`, unescaped, at `spot`; null: it reaches nothing. ASCII case does not matter.
[[nodiscard]] const StateRow* find_state(Spot spot, std::string_view name) noexcept;

// Where the value of the member `name` is, which stands at `spot`.
[[nodiscard]] Spot spot_inside(Spot spot, std::string_view name) noexcept;

// What a walk finds at one member of an object: `raw` stands behind the opening quote of its name.
struct StateFound {
  const StateRow* row = nullptr;  // null: it reaches nothing
  Spot inside = Spot::kNowhere;   // where its value is
};
[[nodiscard]] StateFound look_at(Spot spot, const char* raw) noexcept;

}  // namespace sluice::anthropic
