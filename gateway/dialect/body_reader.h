// A call's JSON body, member by member: what every dialect needs to read one, and nothing of what members mean.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/wiped_string.h"
#include "dialect/call_body.h"
#include "wire/json_value.h"

namespace sluice::dialect {

// Thread:   one.
// Lifetime: of one walk over a body; the body stays, with simdjson::SIMDJSON_PADDING readable bytes behind it.
class BodyReader final {
 public:
  BodyReader(simdjson::ondemand::parser& parser, std::string_view body) noexcept : parser_(parser), body_(body) {}
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Gives each member of the body's one object to member(name, value), which returns a Status, and notes in `call` where
  // the object stands. Errors (kBadRequest, static text): not an object, not JSON, bytes behind it; else member()'s.
  template <class Each>
  Status read(CallBody& call, Each&& member) {
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    SLUICE_TRY(open(document, object));
    call.object_begin = body_.find('{');
    call.object_empty = true;
    const Status done = read_members(object, [&](std::string_view name, simdjson::ondemand::value& value) -> Status {
      call.object_empty = false;
      SLUICE_TRY(note_labels(call, name, value));
      return member(name, value);
    });
    return close(document, done);
  }

  // The same for an object inside. Names are unescaped.
  template <class Each>
  Status read_members(simdjson::ondemand::object& object, Each&& member) {
    for (auto step : object) {
      simdjson::ondemand::field field;
      std::string_view name;
      if (std::move(step).get(field) || field.unescaped_key().get(name)) return wire::bad(wire::kNotJson);
      note_unescaped(name);
      SLUICE_TRY(member(name, field.value()));
    }
    return ok();
  }

  // Where `text`, a part of the body, stands in it.
  [[nodiscard]] Member member_of(std::string_view text) const noexcept {
    return {static_cast<std::size_t>(text.data() - body_.data()), text.size()};
  }

  // A string of 1 to 256 bytes, unescaped. `wrong`: what is said of anything else.
  Status read_name(simdjson::ondemand::value& value, WipedString& name, const char* wrong);
  // null is false.
  static Status read_flag(simdjson::ondemand::value& value, bool& into, const char* wrong);
  // A whole number in any spelling ("5", "5.0", "5e0"); none: null.
  static Result<std::optional<double>> read_number(simdjson::ondemand::value& value, const char* wrong,
                                                   const char* fraction);

 private:
  // Where members stand that may hold labels. Error: `_meta` occurs twice.
  Status note_labels(CallBody& call, std::string_view name, simdjson::ondemand::value& value) const noexcept {
    if (name == "user") {
      call.labels.user = member_of(wire::token_of(value));
    } else if (name == "metadata") {
      call.labels.metadata = member_of(wire::token_of(value));
    } else if (name == LabelMembers::kOwnName) {
      if (call.labels.meta.present()) return wire::bad("'_meta' occurs twice in the request body; give it once.");
      call.labels.meta = member_of(wire::token_of(value));
    }
    return ok();
  }
  Status open(simdjson::ondemand::document& document, simdjson::ondemand::object& object);
  Status close(simdjson::ondemand::document& document, const Status& read);
  [[nodiscard]] bool starts_with_mark() const noexcept;
  [[nodiscard]] bool begins_with_brace() const noexcept;
  [[nodiscard]] const char* why_not_json() const noexcept;

  // Names are unescaped into the parser's own buffer, one behind the other, a whole vector register at a time: what
  // stands behind a name in the body is copied with it. All of it is wiped at the end of the walk.
  void note_unescaped(std::string_view name) noexcept {
    char* const begin = const_cast<char*>(name.data());
    if (unescaped_begin_ == nullptr) unescaped_begin_ = begin;
    unescaped_end_ = std::max(unescaped_end_, begin + name.size());
  }

  char* unescaped_begin_ = nullptr;  // in the parser's string buffer, which is padded behind its last name
  char* unescaped_end_ = nullptr;
  simdjson::ondemand::parser& parser_;
  std::string_view body_;
};

}  // namespace sluice::dialect
