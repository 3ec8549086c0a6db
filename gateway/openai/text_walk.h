// What the walk over a request's values that are not read (wire/text_walk) goes by in this dialect: which strings are
// text, and which members could refer to what a model server stores: those may not, or their owner is looked up.
#pragma once

#include <string_view>

#include "openai/stored_state.h"
#include "wire/text_walk.h"

namespace sluice::openai {

struct TextRules {
  using Spot = openai::Spot;
  static constexpr Spot kNowhere = Spot::kNowhere;
  static constexpr std::string_view kNoText[] = {"role",      "type",     "id",           "data",
                                                 "file_data", "b64_json", "tool_call_id", "call_id"};

  using Seen = dialect::StoredRefs;

  class Object final {
   public:
    Object(Spot spot, Seen& seen) noexcept : spot_(spot), seen_(seen) {}
    [[nodiscard]] const char* member(wire::ondemand::field& field, Spot& inside) noexcept {
      if (const char* const refusal = wire::refusal_of(field, spot_, inside); refusal != nullptr) return refusal;
      if (spot_ == Spot::kItems) item_.note(field.key().raw(), field.value().raw_json_token());
      return nullptr;
    }
    [[nodiscard]] const char* end() { return spot_ == Spot::kItems ? item_.add_to(seen_) : nullptr; }

   private:
    Spot spot_;
    Seen& seen_;
    ItemSeen item_;
  };
};

using TextWalk = wire::TextWalk<TextRules>;

}  // namespace sluice::openai
