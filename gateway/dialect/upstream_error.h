// An error that an upstream answered with, in any form that servers have for one, read for every dialect.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/wiped_string.h"

namespace sluice::dialect {

// What an upstream said, decoded and bounded; wiped, because a model server may quote the prompt.
struct UpstreamError {
  WipedString message;  // empty: no words of its own
  WipedString type;
  WipedString param;
  WipedString code;
};

// The first words in a body of any JSON form: nested {"error":{…}} or {"error":"…"}, flat {"object":"error","message":…},
// {"detail":…} (FastAPI), {"errors":…}, {"msg":…}, a list of any of these, one inside the other, a bare string. What has
// none of these forms (HTML, plain text, nothing) leaves all fields empty.
[[nodiscard]] UpstreamError read_error(std::string_view body);

// Whether the prompt did not fit the model's context, in the words of llama.cpp, vLLM, SGLang, Ollama, LM Studio and
// TGI.
[[nodiscard]] bool is_context_overflow(const UpstreamError& error) noexcept;

// Whether its message or code holds `word`, which is in lower case, in any case.
[[nodiscard]] bool mentions(const UpstreamError& error, std::string_view word) noexcept;

// Whether it is the gateway's credential that was refused, or its account: 401, 402, and 403 where it does not speak of
// what the caller asked.
[[nodiscard]] bool refuses_credentials(std::uint16_t status, const UpstreamError& error) noexcept;

// The status that an error without one stands for: its integer code where that is 400 to 599, else `otherwise`.
[[nodiscard]] std::uint16_t error_status(std::string_view body, std::uint16_t otherwise) noexcept;

// The status that the client gets for an upstream's. 401 and 403 become 502: the caller's key is not at fault (but see
// upstream_answer() for what a moderation says); so do 402, 409 and redirects, which a caller can do nothing about; 408
// becomes 504; 498 and 529, which say that there is no room, 503; 501, which no retry helps, 400.
[[nodiscard]] std::uint16_t client_status(std::uint16_t upstream_status) noexcept;

}  // namespace sluice::dialect
