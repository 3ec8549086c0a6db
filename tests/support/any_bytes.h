// What fuzz targets of every dialect need: each takes any bytes and checks what must hold for all of them.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "dialect/call_body.h"
#include "support/filtered.h"

namespace sluice::test {

inline Buffer padded(std::string_view text) {
  Buffer buffer;
  buffer.append(text);
  (void)buffer.prepare(simdjson::SIMDJSON_PADDING);
  return buffer;
}

inline bool is_json(std::string_view text) {
  simdjson::dom::parser parser;
  return parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
}

inline std::string text_of(const dialect::EditedBody& edited) {
  std::string whole;
  for (std::size_t i = 0; i < edited.count; ++i) whole += edited.parts[i];
  return whole;
}

// What a client and a record get of a stream depends on no split.
inline void expect_same(const Filtered& one, const Filtered& other, std::string_view text) {
  ASSERT_EQ(one.out, other.out) << text;
  ASSERT_EQ(one.state, other.state) << text;
  ASSERT_EQ(one.usage.completion_tokens, other.usage.completion_tokens) << text;
  ASSERT_EQ(one.usage.prompt_tokens, other.usage.prompt_tokens) << text;
  ASSERT_EQ(one.usage.source, other.usage.source) << text;
}

// What leaves consists of whole events. `each` takes an event and what stands behind it.
template <class Each>
void for_each_event(std::string_view out, Each&& each) {
  ASSERT_TRUE(simdjson::validate_utf8(out.data(), out.size())) << out;
  for (std::string_view rest = out; !rest.empty();) {
    const std::size_t end = rest.find("\n\n");
    ASSERT_NE(end, std::string_view::npos) << out;
    const std::string_view event = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    ASSERT_EQ(event.find('\r'), std::string_view::npos);
    each(event, rest);
  }
}

}  // namespace sluice::test
