#include "openai/json_text.h"

#include <cstdio>

namespace sluice::openai {

void append_json_string(std::string& into, std::string_view text) {
  into.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"': into.append("\\\""); break;
      case '\\': into.append("\\\\"); break;
      case '\n': into.append("\\n"); break;
      case '\r': into.append("\\r"); break;
      case '\t': into.append("\\t"); break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char escaped[7];
          std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned char>(c));
          into.append(escaped);
        } else {
          into.push_back(c);
        }
    }
  }
  into.push_back('"');
}

}  // namespace sluice::openai
