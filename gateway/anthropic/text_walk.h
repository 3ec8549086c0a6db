// What the walk over a request's values that are not read (wire/text_walk) goes by in this dialect: which strings are
// text, and which members reach beyond the call; those may not.
#pragma once

#include <string_view>

#include "anthropic/stored_state.h"
#include "wire/text_walk.h"

namespace sluice::anthropic {

struct TextRules {
  using Spot = anthropic::Spot;
  static constexpr Spot kNowhere = Spot::kNowhere;
  static constexpr std::string_view kNoText[] = {"role",        "type",       "id",        "data",
                                                 "tool_use_id", "media_type", "signature", "encrypted_conten"};

  struct Seen {};

  class Object final {
   public:
    Object(Spot spot, Seen&) noexcept : spot_(spot) {}
    [[nodiscard]] const char* member(wire::ondemand::field& field, Spot& inside) const noexcept {
      return wire::refusal_of(field, spot_, inside);
    }
    [[nodiscard]] static const char* end() noexcept { return nullptr; }

   private:
    Spot spot_;
  };
};

using TextWalk = wire::TextWalk<TextRules>;

}  // namespace sluice::anthropic
