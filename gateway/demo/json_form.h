// JSON that fits a schema: the arguments of a tool call, and what `response_format` asks for.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>

namespace sluice::demo {

// A value that `schema` (JSON Schema, as far as structured outputs have it) takes: every property is there, a choice is
// its first, a text is words of `seed`. Anything that is not understood gives words; what is nested deeper than 16
// levels, or refers to itself for as long, gives null.
[[nodiscard]] std::string json_for(const simdjson::dom::element& schema, std::uint64_t seed);

}  // namespace sluice::demo
