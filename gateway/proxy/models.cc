// GET /v1/models, GET /v1/models/{id} and CORS preflights: answers that need no upstream.
#include <algorithm>

#include "base/text.h"
#include "openai/json_text.h"
#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

void append_model(std::string& into, std::string_view name) {
  into.append(R"({"id":)");
  openai::append_json_string(into, name);
  into.append(R"(,"object":"model","created":0,"owned_by":"sluice"})");
}

}  // namespace

Task<Status> Exchange::answer_models() {
  std::string body;
  if (route_.endpoint->id == openai::EndpointId::kModel) {
    std::array<char, 512> decoded;
    const std::optional<std::string_view> name = percent_decode(route_.rest, decoded);
    if (!name || !worker_.pool.knows(*name) || !key_->may_use(*name))
      co_return client_error(ErrorKind::kModelNotFound, "");
    append_model(body, *name);
  } else {
    body = R"({"object":"list","data":[)";
    for (const std::string_view name : worker_.pool.models()) {
      if (!key_->may_use(name)) continue;
      if (body.back() == '}') body.push_back(',');
      append_model(body, name);
    }
    body.append("]}");
  }
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  outcome_.reason = EndReason::kCompleted;
  outcome_.status = 200;
  co_return co_await client_.respond(200, headers.span(), body);
}

Task<void> Exchange::answer_preflight() {
  ReplyHeaders headers;
  add_answer_headers(headers);
  if (!cors_.origins.empty()) {
    headers.add("access-control-allow-methods", "GET, POST, OPTIONS");
    // "*" does not cover Authorization (Fetch standard, section 3.2.4): name what SDKs send.
    headers.add(
        "access-control-allow-headers",
        "authorization, content-type, api-key, x-api-key, openai-organization, openai-project, openai-beta, "
        "x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, "
        "x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout, x-stainless-read-timeout, "
        "x-stainless-helper-method, x-stainless-poll-helper, user-agent, idempotency-key");
    headers.add_number("access-control-max-age", static_cast<std::uint64_t>(cors_.max_age.count()));
  }
  finished_ = true;  // not a call: nothing to settle, nothing to record
  (void)co_await client_.respond(204, headers.span(), {});
}

}  // namespace sluice::proxy
