#include "openai/error_object.h"

#include <algorithm>
#include <array>

#include "openai/error_body.h"
#include "openai/json_text.h"
#include "openai/skim.h"

namespace sluice::openai {
namespace {

constexpr std::size_t kMessageBytes = 4096;
constexpr std::size_t kFieldBytes = 128;

void append_member(WipedString& out, std::string_view name, std::string_view value) {
  out += '"';
  out += name;
  out += "\":";
  if (value.empty()) {
    out += "null";
  } else {
    append_json_string(out, value);
  }
}

void assign_decoded(WipedString& into, std::string_view value, std::size_t limit_bytes) {
  std::array<char, kMessageBytes> decoded;
  const std::size_t bound = std::min(limit_bytes, decoded.size());
  const std::string_view text = unescape(unquoted(value), std::span(decoded).first(bound));
  into.assign(text);
  wipe(decoded.data(), text.size());
}

// A string, or a number in its own spelling: vLLM and llama.cpp send integer codes.
void assign_field(WipedString& into, std::string_view value) {
  if (is_string(value)) {
    assign_decoded(into, value, kFieldBytes);
  } else if (skim_count(value) != 0) {
    into.assign(value.substr(0, kFieldBytes));
  }
}

// FastAPI: {"detail":[{"loc":[…],"msg":"…"}]} or {"detail":"…"}.
std::string_view detail_text(std::string_view value) noexcept {
  Skimmer skimmer(value);
  if (is_string(value) || skimmer.open('[') != Skim::kMember) return value;
  std::string_view first;
  if (skimmer.element(first) != Skim::kMember) return {};
  return skim_find(first, "msg");
}

void read_fields(std::string_view object, UpstreamError& into) {
  Skimmer skimmer(object);
  if (skimmer.open('{') != Skim::kMember) return;
  SkimMember member;
  while (skimmer.member(member) == Skim::kMember) {
    if (member.name == "message") {
      if (is_string(member.value)) assign_decoded(into.message, member.value, kMessageBytes);
    } else if (member.name == "detail") {
      const std::string_view text = detail_text(member.value);
      if (is_string(text)) assign_decoded(into.message, text, kMessageBytes);
    } else if (member.name == "type") {
      assign_field(into.type, member.value);
    } else if (member.name == "param") {
      if (is_string(member.value)) assign_field(into.param, member.value);
    } else if (member.name == "code") {
      assign_field(into.code, member.value);
    }
  }
}

// `needle` in lower case.
bool contains_folded(std::string_view text, std::string_view needle) noexcept {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; };
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(), same) != text.end();
}

struct Defaults {
  std::string_view message, type, code;
};

Defaults defaults_of(std::uint16_t status) noexcept {
  switch (status) {
    case 404:
      return {"The model server does not know this path or model.", "invalid_request_error", {}};
    case 413:
      return {"The model server says that the request is too large.", "invalid_request_error", "request_too_large"};
    case 429:
      return {"The model server is at its rate limit. Try again later.", "rate_limit_error", "rate_limit_exceeded"};
    case 503:
      return {"The model server is overloaded or loading. Try again soon.", "service_unavailable_error",
              "server_is_overloaded"};
    case 504:
      return {"The model server did not answer in time.", "server_error", "upstream_timeout"};
    default:
      break;
  }
  if (status < 500) return {"The model server refused the request.", "invalid_request_error", {}};
  return {"The model server failed.", "server_error", "upstream_error"};
}

}  // namespace

WipedString error_object(const ErrorFields& fields) {
  WipedString body;
  body.reserve(fields.message.size() + 128);
  body += "{\"error\":{";
  body += "\"message\":";
  append_json_string(body, fields.message);
  body += ',';
  append_member(body, "type", fields.type);
  body += ',';
  append_member(body, "param", fields.param);
  body += ',';
  append_member(body, "code", fields.code);
  body += "}}";
  return body;
}

UpstreamError read_error(std::string_view body) {
  UpstreamError error;
  const std::string_view nested = skim_find(body, "error");
  if (is_string(nested)) {
    assign_decoded(error.message, nested, kMessageBytes);
    read_fields(body, error);  // {"error":"Unauthorized","message":"…"}: the words of the longer form win
  } else if (!nested.empty() && nested.front() == '{') {
    read_fields(nested, error);
  } else {
    read_fields(body, error);
  }
  return error;
}

bool is_context_overflow(const UpstreamError& error) noexcept {
  if (error.type == "exceed_context_size_error" || error.code == "context_length_exceeded") return true;
  constexpr std::string_view kWords[] = {
      "maximum context length",       // vLLM, Ollama
      "maximum model length",         // vLLM
      "exceeds the context length",   // Ollama
      "available context size",       // llama.cpp
      "model's context length",       // SGLang
      "context the overflows",        // LM Studio
      "`max_new_tokens` must be <=",  // TGI
  };
  for (const std::string_view words : kWords) {
    if (contains_folded(error.message, words)) return true;
  }
  return false;
}

WipedString error_object(const UpstreamError& error, std::uint16_t status) {
  const Defaults defaults = defaults_of(status);
  const auto either = [](const WipedString& said, std::string_view otherwise) {
    return said.empty() ? otherwise : std::string_view(said);
  };
  const bool silent = error.message.empty() && error.code.empty();
  return error_object({.message = either(error.message, defaults.message),
                       .type = either(error.type, defaults.type),
                       .param = error.param,
                       .code = silent || status == 429 || status == 503 ? either(error.code, defaults.code)
                                                                        : std::string_view(error.code)});
}

std::uint16_t client_status(std::uint16_t upstream_status) noexcept {
  switch (upstream_status) {
    case 400:
    case 404:
    case 405:
    case 406:
    case 410:
    case 411:
    case 413:
    case 414:
    case 415:
    case 416:
    case 422:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return upstream_status;
    case 408:
      return 504;
    case 529:
      return 503;  // Anthropic: overloaded
    default:
      return 502;
  }
}

std::uint16_t error_status(std::string_view body, std::uint16_t otherwise) noexcept {
  std::uint64_t code = skim_count(skim_find(skim_find(body, "error"), "code"));
  if (code == 0) code = skim_count(skim_find(body, "code"));
  return code >= 400 && code < 600 ? static_cast<std::uint16_t>(code) : otherwise;
}

std::optional<ErrorAnswer> error_in_answer(std::string_view body) {
  const std::string_view error = skim_find(body, "error");
  const bool nested = !error.empty() && (error.front() == '{' || (is_string(error) && error.size() > 2));
  if (!nested && skim_find(body, "object") != "\"error\"") return std::nullopt;
  return upstream_answer(error_status(body, 502), {}, body);
}

ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type, std::string_view body) {
  (void)content_type;  // servers label JSON as text/plain and HTML as JSON: the bytes are asked instead
  ErrorAnswer answer;
  answer.status = client_status(status);
  // These talk about the gateway's own credential or account with the provider, and may quote it.
  if (status == 401 || status == 402 || status == 403) {
    answer.body =
        error_object({.message = "The model server refused the gateway's credentials. Tell your administrator.",
                      .type = "server_error",
                      .param = {},
                      .code = "upstream_refused_credentials"});
    answer.should_retry = ErrorAnswer::ShouldRetry::kNo;
    return answer;
  }
  UpstreamError error = read_error(body);
  if (status >= 400 && is_context_overflow(error)) {
    answer.status = 400;
    if (error.message.empty()) error.message = "The prompt is longer than the model's context. Shorten it.";
    answer.body = error_object({.message = error.message,
                                .type = "invalid_request_error",
                                .param = "messages",
                                .code = "context_length_exceeded"});
    return answer;
  }
  if (answer.status == 502 && status < 500 && (status < 400 || status == 409)) error = {};
  if (error.code == "insufficient_quota") {  // the provider's account is empty, not the caller's budget
    answer.status = 502;
    answer.should_retry = ErrorAnswer::ShouldRetry::kNo;
    error = {};
  }
  answer.body = error_object(error, answer.status);
  return answer;
}

}  // namespace sluice::openai
