#include "openai/stored_state.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "wire/folded_name.h"
#include "wire/json_text.h"

namespace sluice::openai {
namespace {

constexpr std::uint16_t kResponses = api_bit(Api::kResponse);
constexpr std::uint16_t kAnswering = api_bit(Api::kChat) | api_bit(Api::kCompletion);
constexpr std::uint16_t kGenerating = api_bit(Api::kChat) | api_bit(Api::kCompletion) | api_bit(Api::kResponse);

#define SLUICE_STORED ", which the model server stores and this gateway cannot keep apart by tenant; "
constexpr std::string_view kItemReference = "item_reference";
constexpr std::string_view kImageCall = "image_generation_call";
constexpr std::string_view kReasoning = "reasoning";
constexpr const char* kTooManyItems =
    "'input' names more than 1,024 stored items; send 'previous_response_id', which stands for all that came before, "
    "or the items themselves.";

// In the order of their spots.
constexpr std::array kRows{
    StateRow{Spot::kTop, "previous_response_id", kAnswering,
             "'previous_response_id' names a response" SLUICE_STORED
             "send the whole conversation in 'input', and 'store': false."},
    StateRow{Spot::kTop, "conversation", kResponses,
             "'conversation' names a conversation" SLUICE_STORED
             "send the whole conversation in 'input', and 'store': false."},
    StateRow{Spot::kTop, "cached_content", kGenerating,
             "'cached_content' names a cached prompt" SLUICE_STORED "send the prompt itself."},
    StateRow{Spot::kTop, "kv_transfer_params", kGenerating,
             "'kv_transfer_params' names the memory of another call" SLUICE_STORED "leave it out."},
    StateRow{Spot::kTop, "session_params", kGenerating,
             "'session_params' names a session" SLUICE_STORED "send the whole conversation and leave it out."},
    StateRow{Spot::kParts, "file_id", kGenerating,
             "'file_id' names a file" SLUICE_STORED "send the content itself: 'file_data', or an image's data: URL."},
    StateRow{Spot::kParts, "file_ids", kGenerating,
             "'file_ids' names files" SLUICE_STORED "send the content itself: 'file_data', or an image's data: URL."},
    StateRow{Spot::kParts, "container_id", kGenerating,
             "'container_id' names a container" SLUICE_STORED "leave it out and send what the code printed as text."},
    StateRow{Spot::kParts, "vector_store_ids", kGenerating,
             "'vector_store_ids' names collections of files" SLUICE_STORED
             "search in your own program and send what it found as text."},
    StateRow{Spot::kTools, "file_id", kGenerating,
             "'file_id' of a tool names a file" SLUICE_STORED "send the content itself, as a data: URL."},
    StateRow{Spot::kTools, "file_ids", kGenerating,
             "'file_ids' of a tool names files" SLUICE_STORED "send the content itself in a message."},
    StateRow{Spot::kTools, "container", kGenerating,
             "'container' of a tool names a machine" SLUICE_STORED
             "leave the tool out and offer a function that runs code in your own program."},
    StateRow{Spot::kTools, "container_id", kGenerating,
             "'container_id' of a tool names a machine" SLUICE_STORED
             "leave the tool out and offer a function that runs code in your own program."},
    StateRow{Spot::kTools, "vector_store_ids", kGenerating,
             "'vector_store_ids' of a tool names collections of files" SLUICE_STORED
             "leave the tool out and offer a function that searches in your own program."},
    StateRow{Spot::kTools, "skill_id", kGenerating,
             "'skill_id' of a tool names a skill" SLUICE_STORED "send the skill's text as instructions."},
    StateRow{Spot::kAudio, "id", kGenerating,
             "'id' of 'audio' or 'voice' names sound" SLUICE_STORED
             "send what was said as the message's 'content', and a built-in voice by its name."},
    StateRow{Spot::kExtra, "cached_content", kGenerating,
             "'cached_content' names a cached prompt" SLUICE_STORED "send the prompt itself."},
    StateRow{Spot::kExtra, "cachedcontent", kGenerating,
             "'cachedContent' names a cached prompt" SLUICE_STORED "send the prompt itself."},
};
#undef SLUICE_STORED

// The caller's own names stand in the values of these.
constexpr std::string_view kOpaque[] = {"parameters", "input_schema", "inputschema", "output_schema", "outputschema",
                                        "schema",     "json_schema",  "arguments",   "metadata",      "attributes",
                                        "headers",    "env",          "input"};
constexpr std::string_view kAudioName = "audio";

bool is_opaque(std::string_view name) noexcept {
  return std::ranges::any_of(kOpaque, [name](std::string_view opaque) { return wire::equals_folded(name, opaque); });
}

// For each length the first letters of names that mean something inside a request, one bit a letter.
class NameFilter final {
 public:
  constexpr NameFilter() noexcept {
    for (const StateRow& row : kRows) add(row.name);
    for (const std::string_view name : kOpaque) add(name);
    add(kAudioName);
  }
  [[nodiscard]] constexpr bool may_hold(const char* name, std::size_t length) const noexcept {
    return length != 0 && length < letters_.size() && (letters_[length] & letter(name[0])) != 0;
  }

 private:
  static constexpr std::uint32_t letter(char c) noexcept { return 1U << (static_cast<unsigned char>(c) & 31U); }
  constexpr void add(std::string_view name) noexcept { letters_[name.size()] |= letter(name[0]); }

  std::array<std::uint32_t, kPlainTextBytes> letters_{};  // REQUIRES: every name is shorter
};
constexpr NameFilter kFilter;

// The id in a string's token; empty: it is none. An escape stands in no id.
std::string_view unquoted_id(std::string_view token) noexcept {
  if (token.size() < 2 || token.front() != '"' || token.back() != '"') return {};
  const std::string_view id = token.substr(1, token.size() - 2);
  return dialect::is_stored_id(id) ? id : std::string_view();
}

}  // namespace

std::span<const StateRow> stored_state() noexcept { return kRows; }

const StateRow* find_state(Spot spot, std::string_view name, Api api) noexcept {
  for (const StateRow& row : kRows) {
    if (row.spot != spot) continue;
    if (spot == Spot::kTop && (row.apis & api_bit(api)) == 0) continue;
    if (wire::equals_folded(name, row.name)) return &row;
  }
  return nullptr;
}

Spot spot_inside(Spot spot, std::string_view name) noexcept {
  switch (spot) {
    case Spot::kNowhere:
      return Spot::kNowhere;
    case Spot::kTop:
      if (wire::equals_folded(name, kAudioName)) return Spot::kAudio;
      return wire::equals_folded(name, "extra_body") ? Spot::kExtra : Spot::kNowhere;
    case Spot::kItems:
    case Spot::kParts:
      if (is_opaque(name)) return Spot::kNowhere;
      return wire::equals_folded(name, kAudioName) ? Spot::kAudio : Spot::kParts;
    case Spot::kTools:
      return is_opaque(name) ? Spot::kNowhere : Spot::kTools;
    case Spot::kVariables:
      return Spot::kParts;
    case Spot::kAudio:
    case Spot::kExtra:
      break;
  }
  return spot;
}

StateFound look_at(Spot spot, const char* raw) noexcept {
  const RawName name = measure(raw, kPlainTextBytes);
  if (spot != Spot::kVariables && name.plain && !kFilter.may_hold(raw, name.length))
    return {.row = nullptr, .inside = spot == Spot::kItems ? Spot::kParts : spot};
  std::array<char, kPlainTextBytes> into;
  const std::string_view text = plain_text(raw, into);
  return {.row = find_state(spot == Spot::kItems ? Spot::kParts : spot, text), .inside = spot_inside(spot, text)};
}

void ItemSeen::Given::note(std::string_view value) noexcept {
  if (!refers(value)) return;
  twice = here();
  token = trimmed(value, kJsonWhite);
}

void ItemSeen::note(const char* raw, std::string_view token) noexcept {
  std::array<char, kPlainTextBytes> into;
  const std::string_view name = plain_text(raw, into);
  const auto is = [name](std::string_view ours) { return wire::equals_folded(name, ours); };
  switch (name.size()) {
    case 2:
      if (is("id")) id_.note(token);
      return;
    case 4:
      if (is("role")) role_ = role_ || refers(token);
      if (!is("type")) return;
      type_ = type_ || refers(token);
      if (says(token, kItemReference)) kind_ = Kind::kReference;
      if (says(token, kImageCall) && kind_ == Kind::kOther) kind_ = Kind::kImage;
      if (says(token, kReasoning) && kind_ == Kind::kOther) kind_ = Kind::kReasoning;
      return;
    case 6:
      if (is("result")) result_ = result_ || refers(token);
      return;
    case 7:
      if (is("content")) content_ = content_ || refers(token);
      return;
    case 17:
      if (is("encrypted_content")) encrypted_ = encrypted_ || refers(token);
      return;
    case 19:
      if (is("approval_request_id")) approval_.note(token);
      return;
    default:
      return;
  }
}

// An item with neither type nor role is a reference by its shape (API reference: item_reference's type may be left
// out). A reasoning item without its text is found by its id.
bool ItemSeen::says_nothing_itself() const noexcept {
  switch (kind_) {
    case Kind::kReference:
      return true;
    case Kind::kImage:
      return !result_;
    case Kind::kReasoning:
      return !content_ && !encrypted_;
    case Kind::kOther:
      break;
  }
  return !type_ && !role_;
}

const char* ItemSeen::add_to(dialect::StoredRefs& refs) const {
  const bool reference = kind_ == Kind::kReference && !id_.here();
  if (reference) refs.names_no_id = true;
  for (const Given* given : {&id_, &approval_}) {
    if (!given->here() || (given == &id_ && !says_nothing_itself())) continue;
    const std::string_view id = unquoted_id(given->token);
    if (id.empty() || given->twice) {
      refs.names_no_id = true;
    } else if (refs.items.size() == dialect::StoredRefs::kMostItems) {
      return kTooManyItems;
    } else {
      refs.items.emplace_back(id);
    }
  }
  return nullptr;
}

}  // namespace sluice::openai
