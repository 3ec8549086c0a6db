// The members of a request that refer to something which the model server stores: responses, conversations, files,
// containers, prompts. A model server knows one key, the gateway's: what it stored for one tenant it would show to any
// other who names it. Whose a response and an item of it are the gateway knows: those are told (dialect::StoredRefs) and
// looked up. One table names all others, which are refused as long as what they name is not kept apart.
//
// Names mean this only where the model server reads them. A tool's parameters, the arguments of its calls and metadata
// are the caller's own words, and may hold a "file_id" of the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dialect/call_body.h"
#include "openai/endpoint.h"
#include "wire/raw_string.h"

namespace sluice::openai {

using wire::kPlainTextBytes;
using wire::measure;
using wire::plain_text;
using wire::RawName;
using wire::refers;
using wire::says;

// Where in a request a walk is.
enum class Spot : std::uint8_t {
  kNowhere,    // names are the caller's own
  kTop,        // the body's own members
  kItems,      // 'input' of a response: one item, or an array of them
  kParts,      // inside a message or an item
  kTools,      // inside 'tools'
  kAudio,      // an 'audio' object: of a message, or of the body
  kVariables,  // 'prompt.variables': names are the caller's own, what they hold are parts
  kExtra,      // 'extra_body' of the body
};

struct StateRow {
  Spot spot;
  std::string_view name;  // in lower case
  std::uint16_t apis;     // of kTop: the bits of those that read it
  const char* refusal;    // what the client is told
};

[[nodiscard]] constexpr std::uint16_t api_bit(Api api) noexcept {
  return static_cast<std::uint16_t>(1U << static_cast<unsigned>(api));
}

// The whole table.
[[nodiscard]] std::span<const StateRow> stored_state() noexcept;

// The row of the member `name`, unescaped, at `spot`; null: it refers to nothing. ASCII case does not matter: some
// servers fold it.
[[nodiscard]] const StateRow* find_state(Spot spot, std::string_view name, Api api = Api::kNone) noexcept;

// Where the value of the member `name` is, which stands at `spot`.
[[nodiscard]] Spot spot_inside(Spot spot, std::string_view name) noexcept;

// What a walk finds at one member of an object.
struct StateFound {
  const StateRow* row = nullptr;  // null: it refers to nothing
  Spot inside = Spot::kNowhere;   // where its value is
};
// The same two questions for a name as it stands in the text: `raw` stands behind its opening quote. Nearly every name
// is told by its length and first letter that it is none of ours.
[[nodiscard]] StateFound look_at(Spot spot, const char* raw) noexcept;

// One item of 'input', whose members come in any order: some kinds of it say nothing themselves but name an item that
// is stored.
class ItemSeen final {
 public:
  // `raw` as for look_at(), `token` as for refers().
  void note(const char* raw, std::string_view token) noexcept;
  // Adds what the item names. Null, or why the request is refused: it names too many.
  [[nodiscard]] const char* add_to(dialect::StoredRefs& refs) const;

 private:
  enum class Kind : std::uint8_t { kOther, kReference, kImage, kReasoning };
  // Of a member that was given: its value as it stands. Given twice: nobody can tell which one a server takes.
  struct Given {
    std::string_view token;
    bool twice = false;
    void note(std::string_view value) noexcept;
    [[nodiscard]] bool here() const noexcept { return !token.empty(); }
  };
  [[nodiscard]] bool says_nothing_itself() const noexcept;

  Given id_, approval_;
  Kind kind_ = Kind::kOther;
  bool role_ = false, type_ = false, result_ = false, content_ = false, encrypted_ = false;
};

}  // namespace sluice::openai
