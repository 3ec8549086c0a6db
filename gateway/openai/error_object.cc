#include "openai/error_object.h"

#include "openai/error_body.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::openai {
namespace {

void append_member(WipedString& out, std::string_view name, std::string_view value) {
  out += '"';
  out += name;
  out += "\":";
  if (value.empty()) {
    out += "null";
  } else {
    wire::append_json_string(out, value);
  }
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
  wire::append_json_string(body, fields.message);
  body += ',';
  append_member(body, "type", fields.type);
  body += ',';
  append_member(body, "param", fields.param);
  body += ',';
  append_member(body, "code", fields.code);
  body += "}}";
  return body;
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

std::optional<ErrorAnswer> error_in_answer(std::string_view body) {
  const std::string_view error = wire::skim_find(body, "error");
  const bool nested = !error.empty() && (error.front() == '{' || (wire::is_string(error) && error.size() > 2));
  if (!nested && wire::skim_find(body, "object") != "\"error\"") return std::nullopt;
  return upstream_answer(error_status(body, 502), {}, body);
}

ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type, std::string_view body) {
  (void)content_type;  // servers label JSON as text/plain and HTML as JSON: the bytes are asked instead
  ErrorAnswer answer;
  answer.status = client_status(status);
  UpstreamError error = read_error(body);
  // These talk about the gateway's own credential or account with the provider, and may quote it.
  if (refuses_credentials(status, error)) {
    answer.body =
        error_object({.message = "The model server refused the gateway's credentials. Tell your administrator.",
                      .type = "server_error",
                      .param = {},
                      .code = "upstream_refused_credentials"});
    answer.should_retry = ErrorAnswer::ShouldRetry::kNo;
    answer.fault = ErrorAnswer::Fault::kCredentials;
    return answer;
  }
  if (status == 403) answer.status = 403;
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
  if (status == 501) {  // its code repeats a status that the client does not see
    if (error.code == "501") error.code = {};
    if (error.message.empty()) error.message = "The model server does not support this request.";
  }
  answer.body = error_object(error, answer.status);
  return answer;
}

}  // namespace sluice::openai
