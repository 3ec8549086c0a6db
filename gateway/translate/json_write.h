// Writing JSON that is put together of parts of other JSON, copied as they stand.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/wiped_string.h"
#include "wire/json_text.h"

namespace sluice::translate {

// A comma, where something stands before in the same object or array.
inline void append_comma(Buffer& out) {
  const std::string_view written = out.view();
  const char before = written.empty() ? '[' : written.back();
  if (before != '{' && before != '[') out.append(",");
}

// "inside": what stood between the quotes of JSON strings.
inline void append_quoted(Buffer& out, std::string_view inside) {
  out.append("\"");
  out.append(inside);
  out.append("\"");
}

// "name":value, behind what stands there. `value`: JSON; empty: it comes next.
inline void append_named(Buffer& out, std::string_view name, std::string_view value = {}) {
  append_comma(out);
  append_quoted(out, name);
  out.append(":");
  out.append(value);
}

// The text of a JSON string's inside, whatever its length.
[[nodiscard]] inline WipedString unescaped(std::string_view inside) {
  WipedString text(inside.size(), '\0');  // no escape stands for more bytes than it has
  text.resize(wire::unescape(inside, text).size());
  return text;
}

// Whether a value says anything at all.
[[nodiscard]] inline bool is_said(std::string_view value) noexcept { return !value.empty() && value != "null"; }

}  // namespace sluice::translate
