// Writing JSON strings.
#pragma once

#include <string>
#include <string_view>

namespace sluice::openai {

// Appends `text` as a JSON string with its quotes (RFC 8259, section 7). Invalid UTF-8 passes as it is.
void append_json_string(std::string& into, std::string_view text);

}  // namespace sluice::openai
