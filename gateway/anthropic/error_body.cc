#include "anthropic/error_body.h"

#include <algorithm>
#include <array>

#include "dialect/upstream_error.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::anthropic {
namespace {

using ShouldRetry = ErrorAnswer::ShouldRetry;

constexpr std::string_view kInvalidRequest = "invalid_request_error";
constexpr std::string_view kApi = "api_error";
constexpr std::string_view kOverloaded = "overloaded_error";
constexpr std::string_view kTimeout = "timeout_error";
constexpr std::uint16_t kOverloadedStatus = 529;
constexpr std::string_view kLacksPath =
    "The model server behind this model does not have this path of Anthropic's API. Call the model through "
    "/v1/chat/completions, or ask your administrator for a model whose server has it.";

// The types of the dialect, and the status that each comes with.
struct TypeRow {
  std::uint16_t status;
  std::string_view type;
};
constexpr std::array<TypeRow, 11> kTypes{{{400, kInvalidRequest},
                                          {401, "authentication_error"},
                                          {402, "billing_error"},
                                          {403, "permission_error"},
                                          {404, "not_found_error"},
                                          {409, "conflict_error"},
                                          {413, "request_too_large"},
                                          {429, "rate_limit_error"},
                                          {500, kApi},
                                          {504, kTimeout},
                                          {kOverloadedStatus, kOverloaded}}};

std::string_view type_of(std::uint16_t status) noexcept {
  const auto row = std::ranges::find(kTypes, status, &TypeRow::status);
  if (row != kTypes.end()) return row->type;
  return status < 500 ? kInvalidRequest : kApi;
}

// The type that an answer of `status` has, where an upstream gave it `said`: that one, if it is of the dialect and goes with
// the status. Servers of other dialects say invalid_request_error of what is not found, too.
std::string_view type_told(std::uint16_t status, std::string_view said) noexcept {
  const auto row = std::ranges::find(kTypes, said, &TypeRow::type);
  if (row == kTypes.end()) return type_of(status);
  const bool has_own = std::ranges::find(kTypes, status, &TypeRow::status) != kTypes.end();
  const bool both_faults = status >= 500 && row->status >= 500;
  const bool both_refusals = status < 500 && row->status < 500 && !has_own;
  return row->status == status || both_faults || both_refusals ? row->type : type_of(status);
}

// What a kind becomes where nothing better is known.
struct Row {
  std::uint16_t status;
  std::string_view type;
  ShouldRetry should_retry;
  const char* message;
};

Row row_of(const Error& error) noexcept {
  const bool client = error.origin == Origin::kClient;
  const auto row = [](std::uint16_t status, const char* message, ShouldRetry again = ShouldRetry::kUnsaid) {
    return Row{status, type_of(status), again, message};
  };
  switch (error.kind) {
    case ErrorKind::kBadRequest:
      return row(400, "The request is malformed.");
    case ErrorKind::kNoKey:
      return row(401,
                 "The request has no API key. Send it as 'x-api-key: YOUR_KEY' or 'Authorization: Bearer YOUR_KEY'.");
    case ErrorKind::kInvalidKey:
      return row(401, "The API key is mistyped, expired or revoked; ask your administrator for a new one.");
    case ErrorKind::kForbidden:
      return row(403, "This API key may not do this. Ask your administrator to widen it.");
    case ErrorKind::kNotFound:
      return row(404, "Unknown request URL. Check the base URL and the path's spelling.");
    case ErrorKind::kModelNotFound:
      return row(404,
                 "The model does not exist or you do not have access to it. GET /v1/models lists those you may call.");
    case ErrorKind::kResponseNotFound:
    case ErrorKind::kFileNotFound:
      return row(404, "Nothing of this id is kept for the user of this API key.");
    case ErrorKind::kMethodNotAllowed:
      return row(405, "This path does not take this method.");
    case ErrorKind::kUnsupportedEncoding:
      return row(
          415,
          "The request body is compressed in a way that is not taken here. Send it plain, or as gzip or zstd alone.");
    case ErrorKind::kTooLarge:
      return row(413, "The request body is larger than this gateway takes. Send less, or ask for a higher bound.");
    case ErrorKind::kHeadTooLarge:
      return row(431, "The request's headers are too large.");
    case ErrorKind::kContextLength:
      return row(400, "prompt is too long: it does not fit the model's context. Shorten it.");
    case ErrorKind::kRateLimited:
      return row(429, "Rate limit reached. Wait as long as Retry-After says, then try again.");
    case ErrorKind::kQuotaExceeded:
      return row(429,
                 "You exceeded your current budget. Ask your administrator to raise it, or wait for the next period.",
                 ShouldRetry::kNo);
    case ErrorKind::kOverloaded:
      return row(kOverloadedStatus, "There is no room for this call now. Try again soon.", ShouldRetry::kYes);
    case ErrorKind::kRefused:
      return row(kOverloadedStatus, "The model server took no more calls. Try again soon.", ShouldRetry::kYes);
    case ErrorKind::kUnavailable:
      return row(503, "The model cannot be reached now. Try again soon.", ShouldRetry::kYes);
    case ErrorKind::kConnect:
      return row(502, "The model server could not be reached. Try again soon.", ShouldRetry::kYes);
    case ErrorKind::kTimeout:
      if (client) return {408, kTimeout, ShouldRetry::kUnsaid, "The request took too long to arrive."};
      return row(504, "The model server did not answer in time.");
    case ErrorKind::kClosed:
      return client ? row(499, "The client closed the connection.")
                    : row(502, "The model server broke off before its answer was whole.");
    case ErrorKind::kCancelled:
      return row(503, "The call was ended by the gateway before its answer was whole.");
    case ErrorKind::kProtocol:
      return client ? row(400, "The request is malformed.")
                    : row(502, "The model server's answer could not be understood.");
    case ErrorKind::kUpstream:
      return row(502, "The model server failed.");
    case ErrorKind::kWouldBlock:
    case ErrorKind::kInternal:
      break;
  }
  return row(500, "The gateway failed to handle the request. It has been counted; try again.");
}

std::string_view words_of(std::uint16_t status) noexcept {
  switch (status) {
    case 404:
      return "The model server does not know this path or model.";
    case 413:
      return "The model server says that the request is too large.";
    case 429:
      return "The model server is at its rate limit. Try again later.";
    case 503:
    case kOverloadedStatus:
      return "The model server is overloaded or loading. Try again soon.";
    case 504:
      return "The model server did not answer in time.";
    default:
      return status < 500 ? "The model server refused the request." : "The model server failed.";
  }
}

WipedString error_object(std::string_view type, std::string_view message) {
  WipedString body;
  body.reserve(message.size() + 128);
  body += R"({"type":"error","error":{"type":)";
  wire::append_json_string(body, type);
  body += R"(,"message":)";
  wire::append_json_string(body, message);
  body += "}}";
  return body;
}

std::uint16_t client_status(std::uint16_t status) noexcept {
  return status == kOverloadedStatus || status == 498 ? kOverloadedStatus : dialect::client_status(status);
}

// What the provider says of the gateway's account, and not of the call: it comes as a 400 of the dialect's own.
bool is_out_of_credit(const dialect::UpstreamError& error) noexcept {
  return error.message.find("credit balance is too low") != WipedString::npos;
}

// A server that was asked in this dialect and does not have the path says so in another's words, or in none: "Not Found"
// (FastAPI), "File Not Found" (llama.cpp), "404 page not found" (Go), "Cannot POST /v1/messages" (Express). Any other 404
// is about something that the caller named, and keeps its words.
bool lacks_path(std::uint16_t status, const dialect::UpstreamError& error, std::string_view body) noexcept {
  if (status != 404 || wire::skim_find(body, "type") == R"("error")" || dialect::mentions(error, "model")) return false;
  constexpr std::size_t kBareBytes = 20;
  const auto says = [&error](std::string_view words) { return dialect::mentions(error, words); };
  return error.message.empty() || (error.message.size() <= kBareBytes && says("not found")) || says("cannot post") ||
         says(" path") || says(" url") || says(" route") || says("endpoint or method");
}

ErrorAnswer refused_credentials() {
  ErrorAnswer answer;
  answer.status = 502;
  answer.body = error_object(kApi, "The model server refused the gateway's credentials. Tell your administrator.");
  answer.should_retry = ShouldRetry::kNo;
  answer.fault = ErrorAnswer::Fault::kCredentials;
  return answer;
}

}  // namespace

ErrorAnswer error_answer(const Error& error, std::string_view message) {
  const Row row = row_of(error);
  ErrorAnswer answer;
  answer.status = row.status;
  answer.should_retry = row.should_retry;
  std::string_view type = row.type;
  if (error.kind == ErrorKind::kUpstream && error.http_status != 0) {
    answer.status = client_status(error.http_status);
    type = type_of(answer.status);
  }
  if (message.empty()) message = error.what;
  if (message.empty()) message = row.message;
  answer.body = error_object(type, message);
  return answer;
}

ErrorAnswer upstream_answer(std::uint16_t status, std::string_view body) {
  dialect::UpstreamError error = dialect::read_error(body);
  if (dialect::refuses_credentials(status, error) || is_out_of_credit(error)) return refused_credentials();
  ErrorAnswer answer;
  answer.status = status == 403 ? 403 : client_status(status);
  if (status >= 400 && dialect::is_context_overflow(error)) {
    constexpr std::string_view kWords = "prompt is too long";
    answer.status = 400;
    if (error.message.empty()) error.message = "it does not fit the model's context. Shorten it.";
    if (error.message.find(kWords) == WipedString::npos)
      error.message = WipedString(kWords).append(": ").append(error.message);
    answer.body = error_object(kInvalidRequest, error.message);
    return answer;
  }
  if (lacks_path(status, error, body)) {
    answer.status = 400;
    answer.body = error_object(kInvalidRequest, kLacksPath);
    return answer;
  }
  if (answer.status == 502 && (status < 400 || status == 409)) error = {};
  const std::string_view words = error.message.empty() ? words_of(answer.status) : std::string_view(error.message);
  answer.body = error_object(type_told(answer.status, error.type), words);
  return answer;
}

std::optional<ErrorAnswer> error_in_answer(std::string_view body) {
  const std::string_view error = wire::skim_find(body, "error");
  const bool nested = !error.empty() && (error.front() == '{' || (wire::is_string(error) && error.size() > 2));
  if (!nested && wire::skim_find(body, "type") != "\"error\"") return std::nullopt;
  return error_in_event(body);
}

ErrorAnswer error_in_event(std::string_view data) {
  const std::string_view type = wire::skim_find(wire::skim_find(data, "error"), "type");
  std::uint16_t status = 500;
  if (wire::is_string(type)) {
    const auto row = std::ranges::find(kTypes, wire::unquoted(type), &TypeRow::type);
    if (row != kTypes.end()) status = row->status;
  }
  return upstream_answer(dialect::error_status(data, status), data);
}

WipedString error_event(const ErrorAnswer& answer) {
  WipedString event;
  event.reserve(answer.body.size() + 32);
  event += "event: error\ndata: ";
  event += answer.body;
  event += "\n\n";
  return event;
}

void add_request_id(ErrorAnswer& answer, std::string_view request_id) {
  answer.body.pop_back();
  answer.body += R"(,"request_id":)";
  wire::append_json_string(answer.body, request_id);
  answer.body += '}';
}

}  // namespace sluice::anthropic
