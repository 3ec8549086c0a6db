#include "openai/error_body.h"

#include "openai/error_object.h"

namespace sluice::openai {
namespace {

using ShouldRetry = ErrorAnswer::ShouldRetry;

constexpr const char* kInvalidRequest = "invalid_request_error";
constexpr const char* kServer = "server_error";
constexpr const char* kUnavailable = "service_unavailable_error";

// What a kind becomes where nothing better is known. `code` and `param` null: JSON null.
struct Row {
  std::uint16_t status;
  const char* type;
  const char* code;
  ShouldRetry should_retry;
  const char* message;
  const char* param = nullptr;
};

// The status, type and code that OpenAI itself uses where it has the case (CONTRACT: errors); the SDKs' exception
// classes hang on them.
Row row_of(const Error& error) noexcept {
  const bool client = error.origin == Origin::kClient;
  switch (error.kind) {
    case ErrorKind::kBadRequest:
      return {400, kInvalidRequest, nullptr, ShouldRetry::kUnsaid, "The request is malformed."};
    case ErrorKind::kNoKey:
      return {401, kInvalidRequest, nullptr, ShouldRetry::kUnsaid,
              "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'."};
    case ErrorKind::kInvalidKey:
      return {401, kInvalidRequest, "invalid_api_key", ShouldRetry::kUnsaid,
              "Incorrect API key provided. It is mistyped, expired or revoked; ask your administrator for a new one."};
    case ErrorKind::kForbidden:
      return {403, kInvalidRequest, "insufficient_permissions", ShouldRetry::kUnsaid,
              "This API key may not do this. Ask your administrator to widen it."};
    case ErrorKind::kNotFound:
      return {404, kInvalidRequest, "unknown_url", ShouldRetry::kUnsaid,
              "Unknown request URL. Check base_url (it ends in /v1) and the path's spelling."};
    case ErrorKind::kModelNotFound:
      return {404, kInvalidRequest, "model_not_found", ShouldRetry::kUnsaid,
              "The model does not exist or you do not have access to it. GET /v1/models lists those you may call."};
    case ErrorKind::kResponseNotFound:
      return {404, kInvalidRequest, "response_not_found", ShouldRetry::kUnsaid,
              "No such response is kept for the user of this API key."};
    case ErrorKind::kFileNotFound:
      return {404, kInvalidRequest, "not_found", ShouldRetry::kUnsaid,
              "No such file or batch is kept for the user of this API key."};
    case ErrorKind::kMethodNotAllowed:
      return {405, kInvalidRequest, "method_not_supported", ShouldRetry::kUnsaid,
              "This path does not take this method."};
    case ErrorKind::kUnsupportedEncoding:
      return {
          415, kInvalidRequest, "unsupported_content_encoding", ShouldRetry::kUnsaid,
          "The request body is compressed in a way that is not taken here. Send it plain, or as gzip or zstd alone."};
    case ErrorKind::kTooLarge:
      return {413, kInvalidRequest, "request_too_large", ShouldRetry::kUnsaid,
              "The request body is larger than this gateway takes. Send less, or ask for a higher bound."};
    case ErrorKind::kHeadTooLarge:
      return {431, kInvalidRequest, "header_too_large", ShouldRetry::kUnsaid, "The request's headers are too large."};
    case ErrorKind::kContextLength:
      return {400,
              kInvalidRequest,
              "context_length_exceeded",
              ShouldRetry::kUnsaid,
              "The prompt is longer than the model's context. Shorten it.",
              "messages"};
    case ErrorKind::kRateLimited:
      return {429, "requests", "rate_limit_exceeded", ShouldRetry::kUnsaid,
              "Rate limit reached. Wait as long as Retry-After says, then try again."};
    case ErrorKind::kQuotaExceeded:
      return {429, "insufficient_quota", "insufficient_quota", ShouldRetry::kNo,
              "You exceeded your current budget. Ask your administrator to raise it, or wait for the next period."};
    case ErrorKind::kOverloaded:
      return {503, kUnavailable, "server_is_overloaded", ShouldRetry::kYes,
              "There is no room for this call now. Try again soon."};
    case ErrorKind::kUnavailable:
      return {503, kUnavailable, "service_unavailable", ShouldRetry::kYes,
              "The model cannot be reached now. Try again soon."};
    case ErrorKind::kConnect:
      return {502, kServer, "upstream_unreachable", ShouldRetry::kYes,
              "The model server could not be reached. Try again soon."};
    case ErrorKind::kRefused:
      return {503, kUnavailable, "server_is_overloaded", ShouldRetry::kYes,
              "The model server took no more calls. Try again soon."};
    case ErrorKind::kTimeout:
      if (client)
        return {408, kInvalidRequest, "request_timeout", ShouldRetry::kUnsaid, "The request took too long to arrive."};
      return {504, kServer, "upstream_timeout", ShouldRetry::kUnsaid, "The model server did not answer in time."};
    case ErrorKind::kClosed:
      if (client)
        return {499, kInvalidRequest, "client_closed_request", ShouldRetry::kUnsaid,
                "The client closed the connection."};
      return {502, kServer, "upstream_closed", ShouldRetry::kUnsaid,
              "The model server broke off before its answer was whole."};
    case ErrorKind::kCancelled:
      return {503, kUnavailable, "call_cancelled", ShouldRetry::kUnsaid,
              "The call was ended by the gateway before its answer was whole."};
    case ErrorKind::kProtocol:
      if (client) return {400, kInvalidRequest, nullptr, ShouldRetry::kUnsaid, "The request is malformed."};
      return {502, kServer, "upstream_protocol_error", ShouldRetry::kUnsaid,
              "The model server's answer could not be understood."};
    case ErrorKind::kUpstream:
      return {502, kServer, "upstream_error", ShouldRetry::kUnsaid, "The model server failed."};
    case ErrorKind::kWouldBlock:
    case ErrorKind::kInternal:
      break;
  }
  return {500, kServer, nullptr, ShouldRetry::kUnsaid,
          "The gateway failed to handle the request. It has been counted; try again."};
}

// The API's name of what ran out, where it is not the kind's own.
const char* type_of(RefusalKind why, const char* otherwise) noexcept {
  switch (why) {
    case RefusalKind::kTokens:
    case RefusalKind::kReserved:
    case RefusalKind::kTooLarge:
      return "tokens";
    default:
      return otherwise;
  }
}

}  // namespace

ErrorAnswer error_answer(const Error& error, std::string_view message, RefusalKind why) {
  const Row row = row_of(error);
  ErrorAnswer answer;
  answer.status = row.status;
  answer.should_retry = row.should_retry;
  if (error.kind == ErrorKind::kUpstream && error.http_status != 0) answer.status = client_status(error.http_status);
  if (message.empty()) message = error.what;
  if (message.empty()) message = row.message;
  const auto text = [](const char* value) { return value == nullptr ? std::string_view() : std::string_view(value); };
  answer.body = error_object(
      {.message = message, .type = type_of(why, row.type), .param = text(row.param), .code = text(row.code)});
  return answer;
}

WipedString error_event(const ErrorAnswer& answer) {
  WipedString event;
  event.reserve(answer.body.size() + 8);
  event += "data: ";
  event += answer.body;
  event += "\n\n";
  return event;
}

}  // namespace sluice::openai
