// Session's faults: answers in place of the true one, and what goes wrong half-way through a stream.

#include "demo/session.h"

namespace sluice::demo {
namespace {

constexpr std::string_view kLlamaOverflow =
    R"({"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}})";
constexpr std::string_view kVllmOverflow =
    R"({"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please reduce the length of the messages.","type":"BadRequestError","param":null,"code":400})";
constexpr std::string_view kFlat =
    R"({"object":"error","message":"demo: flat error","type":"BadRequestError","param":null,"code":400})";
constexpr std::string_view kString = R"({"error":"demo: string error"})";
constexpr std::string_view kNested =
    R"({"error":{"message":"demo: nested error","type":"server_error","param":null,"code":"demo_error"}})";
constexpr std::string_view kInteger =
    R"({"error":{"message":"demo: integer code","type":"BadRequestError","param":null,"code":400}})";
constexpr std::string_view kChoicesNull = R"({"choices":null,"error":"demo: error beside choices"})";
constexpr std::string_view kPage =
    "<html><head><title>502 Bad Gateway</title></head><body>demo: HTML error</body></html>";

std::string_view error_of(std::string_view form) noexcept {
  if (form == "flat") return kFlat;
  if (form == "string") return kString;
  if (form == "integer") return kInteger;
  if (form == "choices-null") return kChoicesNull;
  return kNested;
}

MonoTime after(double seconds) noexcept {
  return Mono::now() + std::chrono::duration_cast<Mono::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Task<Session::Next> Session::refuse(const Plan& plan) {
  struct Row {
    Fault fault;
    std::string_view body;
    std::string_view content_type = "application/json";
  };
  constexpr Row kByStatus[] = {
      {Fault::kFlatError, kFlat}, {Fault::kStringError, kString},  {Fault::kHtmlError, kPage, "text/html"},
      {Fault::kEmptyError, ""},   {Fault::kIntegerCode, kInteger}, {Fault::kStatus, kNested}};
  const Faults& faults = plan.faults;
  if (faults.has(Fault::kRefuse)) {
    connection_.stream().close();
    co_return Next::kClose;
  }
  for (const Row& row : kByStatus) {
    if (!faults.has(row.fault)) continue;
    const auto status = static_cast<unsigned>(faults.number(row.fault));
    co_return co_await send(status >= 200 && status <= 599 ? status : 500, row.body, row.content_type);
  }
  if (faults.has(Fault::kOkError)) co_return co_await send(200, kNested);
  if (faults.has(Fault::kContextOverflow))
    co_return co_await send(400, faults.argument(Fault::kContextOverflow) == "vllm" ? kVllmOverflow : kLlamaOverflow);
  if (faults.has(Fault::kRetryAfter)) {
    const http::Header more[] = {{"retry-after", faults.argument(Fault::kRetryAfter)}};
    const std::string body = error_object("demo: rate limited", "requests", "rate_limit_exceeded");
    co_return co_await send(429, body, "application/json", more);
  }
  if (faults.has(Fault::kRedirect)) {
    constexpr http::Header kMore[] = {{"location", "/v1/elsewhere"}};
    co_return co_await send(307, {}, "text/plain", kMore);
  }
  co_return Next::kGoOn;
}

Task<Session::Next> Session::half_way(const Plan& plan, AnswerForm& form, EventText& text) {
  const Faults& faults = plan.faults;
  if (faults.has(Fault::kSilence) && co_await pause(after(faults.seconds(Fault::kSilence))) == Next::kClientLeft)
    co_return Next::kClientLeft;
  if (faults.has(Fault::kBigEvent)) {
    form.big(text, faults.number(Fault::kBigEvent));
    if (co_await send_pending(text) == Next::kClientLeft) co_return Next::kClientLeft;
  }
  if (faults.has(Fault::kDieMidStream)) {
    connection_.stream().abort();
    co_return Next::kClose;
  }
  if (faults.has(Fault::kEofMidStream)) co_return co_await end(text);
  if (faults.has(Fault::kNotJson)) text.event({}, {"<html>demo: not JSON</html>"});
  if (faults.has(Fault::kErrorInStream)) {
    text.event({}, {error_of(faults.argument(Fault::kErrorInStream))});
    text.event({}, {"[DONE]"});
    co_return co_await end(text);
  }
  co_return Next::kGoOn;
}

}  // namespace sluice::demo
