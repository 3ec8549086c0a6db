// What the walk over a request's values that are not read (wire/text_walk) goes by in this dialect: which strings are
// text, and which members reach beyond the call; those may not.
#pragma once

#include <algorithm>
#include <string_view>

#include "anthropic/stored_state.h"
#include "wire/raw_string.h"
#include "wire/text_walk.h"

namespace sluice::anthropic {

struct TextRules {
  using Spot = anthropic::Spot;
  static constexpr Spot kNowhere = Spot::kNowhere;

  // Not in these members of a message. Names are cut behind their 16th byte.
  [[nodiscard]] static bool is_text(std::string_view name) noexcept {
    constexpr std::string_view kOthers[] = {"role",        "type",       "id",        "data",
                                            "tool_use_id", "media_type", "signature", "encrypted_conten"};
    return std::find(std::begin(kOthers), std::end(kOthers), name) == std::end(kOthers);
  }

  class Object final {
   public:
    explicit Object(Spot spot) noexcept : spot_(spot) {}
    [[nodiscard]] const char* member(wire::ondemand::field& field, Spot& inside) noexcept {
      if (spot_ == Spot::kNowhere) return nullptr;
      const StateFound found = look_at(spot_, field.key().raw());
      inside = found.inside;
      const bool reaches = found.row != nullptr && wire::refers(field.value().raw_json_token());
      return reaches ? found.row->refusal : nullptr;
    }
    [[nodiscard]] static const char* end() noexcept { return nullptr; }

   private:
    Spot spot_;
  };
};

using TextWalk = wire::TextWalk<TextRules>;

}  // namespace sluice::anthropic
