// GET /v1/models, GET /v1/models/{id}, GET /healthz and /readyz, OPTIONS: answers that need no upstream.
#include <algorithm>

#include "base/text.h"
#include "dialect/sdk_headers.h"
#include "http/field_text.h"
#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view kAlivePath = "/healthz";
constexpr std::string_view kReadyPath = "/readyz";
constexpr std::string_view kReadMethods = "GET, HEAD, OPTIONS";

}  // namespace

Task<Status> Exchange::answer_models() {
  std::string body;
  if (endpoint().work == dialect::Work::kShowModel) {
    std::array<char, 512> decoded;
    const std::optional<std::string_view> name = percent_decode(match_.rest, decoded);
    if (!name || !worker_.pool.knows(wanted(*name)) || !key_->may_use(*name))
      co_return client_error(ErrorKind::kModelNotFound, "");
    dialect().append_model(body, listed(*name));
  } else {
    std::vector<dialect::ListedModel> models;
    for (const upstream::Models::Entry* entry : worker_.pool.models()) {
      const auto& [name, known] = *entry;
      if (known.known_to(call_.caller.tenant_id) && key_->may_use(name)) models.push_back(listed(name));
    }
    dialect().append_models(body, models);
  }
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  outcome_.reason = EndReason::kCompleted;
  outcome_.status = 200;
  co_return co_await client_.respond(200, headers.span(), body);
}

dialect::ListedModel Exchange::listed(std::string_view model) const noexcept {
  const auto settings = conf_->models->find(model);
  const bool renamed = settings != conf_->models->end() && !settings->second.upstream_name.empty();
  const upstream::ModelFacts facts =
      worker_.pool.facts(wanted(model), renamed ? std::string_view(settings->second.upstream_name) : model);
  return {.name = model, .created = facts.created, .context_tokens = facts.context_tokens};
}

bool Exchange::is_probe(std::string_view path) noexcept { return path == kAlivePath || path == kReadyPath; }

// GET /healthz: this process answers. GET /readyz: it knows its keys, so that calls can be admitted.
Task<void> Exchange::answer_probe() {
  finished_ = true;  // not a call: nothing to settle, nothing to record
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  headers.add("cache-control", "no-store");
  add_answer_headers(headers);
  if (head_.method != http::Verb::get && head_.method != http::Verb::head) {
    headers.add("allow", kReadMethods);
    const dialect::ErrorAnswer answer = dialect().error_answer(
        client_error(ErrorKind::kMethodNotAllowed, "This path takes GET requests only; send GET."));
    (void)co_await client_.respond(answer.status, headers.span(), answer.body);
    co_return;
  }
  const bool ready = head_.path == kAlivePath || worker_.directory.is_loaded();
  (void)co_await client_.respond(ready ? 200 : 503, headers.span(),
                                 ready ? R"({"status":"ok"})" : R"({"status":"the store cannot be reached yet"})");
}

// OPTIONS, before authentication: which methods a path takes, and for browsers what they may send.
Task<void> Exchange::answer_options() {
  finished_ = true;  // not a call: nothing to settle, nothing to record
  ReplyHeaders headers;
  match_ = worker_.dialects.find(head_.path);
  const bool served = match_.endpoint != nullptr;
  const bool preflight = !cors_.origins.empty() && !head_.fields["access-control-request-method"].empty();
  if (!served && !is_probe(head_.path) && head_.path != "*" && !preflight) {
    headers.add("content-type", "application/json");
    add_answer_headers(headers);
    dialect::ErrorAnswer answer = dialect().error_answer(client_error(ErrorKind::kNotFound, match_.advice));
    dialect().add_request_id(answer, call_.request_id);
    (void)co_await client_.respond(answer.status, headers.span(), answer.body);
    co_return;
  }
  add_answer_headers(headers);
  if (served) {
    headers.add("allow", dialect::allowed_methods(match_.methods));
  } else if (is_probe(head_.path)) {
    headers.add("allow", kReadMethods);
  } else if (head_.path == "*") {
    headers.add("allow", "GET, HEAD, POST, DELETE, OPTIONS");
  }
  if (preflight) add_preflight_headers(headers);
  (void)co_await client_.respond(204, headers.span(), {});
}

// What SDKs send is named, and of what the browser asks for beside it, what goes on to upstreams.
void Exchange::add_preflight_headers(ReplyHeaders& headers) const noexcept {
  constexpr std::size_t kMostBytes = 512;  // of what is added
  std::string allowed(dialect::kSentBySdks);
  std::string_view asked = head_.fields["access-control-request-headers"];
  while (!asked.empty()) {
    const std::size_t comma = std::min(asked.find(','), asked.size());
    const std::string_view name = trimmed(asked.substr(0, comma));
    asked.remove_prefix(std::min(comma + 1, asked.size()));
    const bool wanted = conf_->forward.way_of(name) != ForwardRules::Way::kDrop || name.starts_with("x-stainless-");
    if (!wanted || !http::is_token(name) || http::list_has(dialect::kSentBySdks, name)) continue;
    if (allowed.size() - dialect::kSentBySdks.size() + name.size() + 2 > kMostBytes) break;
    allowed.append(", ").append(name);
  }
  headers.add("access-control-allow-methods", "GET, HEAD, POST, DELETE, OPTIONS");
  headers.add_copy("access-control-allow-headers", allowed);
  headers.add_number("access-control-max-age", static_cast<std::uint64_t>(cors_.max_age.count()));
}

}  // namespace sluice::proxy
