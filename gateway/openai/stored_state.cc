#include "openai/stored_state.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "wire/folded_name.h"
#include "wire/json_text.h"

namespace sluice::openai {
namespace {

constexpr std::uint8_t kResponses = api_bit(Api::kResponse);
constexpr std::uint8_t kGenerating = api_bit(Api::kChat) | api_bit(Api::kCompletion) | api_bit(Api::kResponse);

#define SLUICE_STORED ", which the model server stores and this gateway cannot keep apart by tenant; "
constexpr std::string_view kItemReference = "item_reference";
constexpr std::string_view kImageCall = "image_generation_call";
constexpr const char* kItemReferenceRefusal =
    "An item of 'input' is an 'item_reference': it names an item by its id" SLUICE_STORED
    "send the item itself, as clients do where their option 'store' is false.";
constexpr const char* kImageCallRefusal =
    "An 'image_generation_call' item of 'input' has an 'id' and no 'result': it names an image" SLUICE_STORED
    "send the image itself in 'result' or as an 'input_image'.";

// In the order of their spots.
constexpr std::array kRows{
    StateRow{Spot::kTop,
             "previous_response_id",
             kGenerating,
             "'previous_response_id' names a response" SLUICE_STORED
             "send the whole conversation in 'input', and 'store': false.",
             {}},
    StateRow{Spot::kTop,
             "conversation",
             kResponses,
             "'conversation' names a conversation" SLUICE_STORED
             "send the whole conversation in 'input', and 'store': false.",
             {}},
    StateRow{Spot::kTop,
             "cached_content",
             kGenerating,
             "'cached_content' names a cached prompt" SLUICE_STORED "send the prompt itself.",
             {}},
    StateRow{Spot::kTop,
             "kv_transfer_params",
             kGenerating,
             "'kv_transfer_params' names the memory of another call" SLUICE_STORED "leave it out.",
             {}},
    StateRow{Spot::kTop,
             "session_params",
             kGenerating,
             "'session_params' names a session" SLUICE_STORED "send the whole conversation and leave it out.",
             {}},
    StateRow{Spot::kItems, "type", kResponses, kItemReferenceRefusal, kItemReference},
    StateRow{Spot::kItems, "type", kResponses, kImageCallRefusal, kImageCall},
    StateRow{Spot::kParts,
             "file_id",
             kGenerating,
             "'file_id' names a file" SLUICE_STORED "send the content itself: 'file_data', or an image's data: URL.",
             {}},
    StateRow{Spot::kParts,
             "file_ids",
             kGenerating,
             "'file_ids' names files" SLUICE_STORED "send the content itself: 'file_data', or an image's data: URL.",
             {}},
    StateRow{Spot::kParts,
             "container_id",
             kGenerating,
             "'container_id' names a container" SLUICE_STORED "leave it out and send what the code printed as text.",
             {}},
    StateRow{Spot::kParts,
             "vector_store_ids",
             kGenerating,
             "'vector_store_ids' names collections of files" SLUICE_STORED
             "search in your own program and send what it found as text.",
             {}},
    StateRow{Spot::kTools,
             "file_id",
             kGenerating,
             "'file_id' of a tool names a file" SLUICE_STORED "send the content itself, as a data: URL.",
             {}},
    StateRow{Spot::kTools,
             "file_ids",
             kGenerating,
             "'file_ids' of a tool names files" SLUICE_STORED "send the content itself in a message.",
             {}},
    StateRow{Spot::kTools,
             "container",
             kGenerating,
             "'container' of a tool names a machine" SLUICE_STORED
             "leave the tool out and offer a function that runs code in your own program.",
             {}},
    StateRow{Spot::kTools,
             "container_id",
             kGenerating,
             "'container_id' of a tool names a machine" SLUICE_STORED
             "leave the tool out and offer a function that runs code in your own program.",
             {}},
    StateRow{Spot::kTools,
             "vector_store_ids",
             kGenerating,
             "'vector_store_ids' of a tool names collections of files" SLUICE_STORED
             "leave the tool out and offer a function that searches in your own program.",
             {}},
    StateRow{Spot::kTools,
             "skill_id",
             kGenerating,
             "'skill_id' of a tool names a skill" SLUICE_STORED "send the skill's text as instructions.",
             {}},
    StateRow{Spot::kAudio,
             "id",
             kGenerating,
             "'audio.id' names sound" SLUICE_STORED
             "send what was said as the message's 'content', and a built-in voice by its name.",
             {}},
    StateRow{Spot::kExtra,
             "cached_content",
             kGenerating,
             "'cached_content' names a cached prompt" SLUICE_STORED "send the prompt itself.",
             {}},
    StateRow{Spot::kExtra,
             "cachedcontent",
             kGenerating,
             "'cachedContent' names a cached prompt" SLUICE_STORED "send the prompt itself.",
             {}},
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

}  // namespace

std::span<const StateRow> stored_state() noexcept { return kRows; }

const StateRow* find_state(Spot spot, std::string_view name, Api api) noexcept {
  for (const StateRow& row : kRows) {
    if (row.spot != spot || !row.value.empty()) continue;
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

void ItemSeen::note(const char* raw, std::string_view token) noexcept {
  std::array<char, kPlainTextBytes> into;
  const std::string_view name = plain_text(raw, into);
  if (name.size() < 2 || name.size() > 6) return;
  if (wire::equals_folded(name, "id")) {
    id_ = id_ || refers(token);
  } else if (wire::equals_folded(name, "role")) {
    role_ = role_ || refers(token);
  } else if (wire::equals_folded(name, "result")) {
    result_ = result_ || refers(token);
  } else if (wire::equals_folded(name, "type")) {
    type_ = type_ || refers(token);
    reference_ = reference_ || says(token, kItemReference);
    image_ = image_ || says(token, kImageCall);
  }
}

// An item with neither type nor role is a reference by its shape (API reference: item_reference's type may be left
// out).
const char* ItemSeen::refusal() const noexcept {
  if (reference_ || (id_ && !type_ && !role_)) return kItemReferenceRefusal;
  return image_ && id_ && !result_ ? kImageCallRefusal : nullptr;
}

}  // namespace sluice::openai
