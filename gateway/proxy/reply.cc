#include "proxy/reply.h"

#include <fmt/compile.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>

#include "base/ids.h"
#include "dialect/sdk_headers.h"
#include "http/kept_headers.h"

namespace sluice::proxy {
void ReplyHeaders::add(std::string_view name, std::string_view value) noexcept {
  if (count_ < kMost) headers_[count_++] = {name, value};
}

std::string_view ReplyHeaders::kept(std::string_view text) noexcept {
  if (text_.size() - used_ < text.size()) return {};  // sized for everything that is added
  char* const at = text_.data() + used_;
  std::memcpy(at, text.data(), text.size());
  used_ += text.size();
  return {at, text.size()};
}

void ReplyHeaders::add_copy(std::string_view name, std::string_view value) noexcept {
  if (const std::string_view copy = kept(value); copy.data() != nullptr) add(name, copy);
}

void ReplyHeaders::add_named(std::string_view name, std::string_view value) noexcept {
  if (const std::string_view copy = kept(name); copy.data() != nullptr) add(copy, value);
}

void ReplyHeaders::add_named_copy(std::string_view name, std::string_view value) noexcept {
  if (const std::string_view copy = kept(value); copy.data() != nullptr) add_named(name, copy);
}

void ReplyHeaders::add_number(std::string_view name, std::uint64_t value) noexcept {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  add_copy(name, {digits, static_cast<std::size_t>(end - digits)});
}

void ReplyHeaders::add_duration(std::string_view name, std::chrono::milliseconds value) noexcept {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
  fmt::memory_buffer text;
  const auto into = std::back_inserter(text);
  if (ms < 1'000) {
    fmt::format_to(into, FMT_COMPILE("{}ms"), ms);
  } else if (ms >= 60'000) {
    fmt::format_to(into, FMT_COMPILE("{}m{}s"), ms / 60'000, ms / 1'000 % 60);
  } else if (ms % 1'000 == 0) {
    fmt::format_to(into, FMT_COMPILE("{}s"), ms / 1'000);
  } else {
    fmt::format_to(into, FMT_COMPILE("{}.{:03}s"), ms / 1'000, ms % 1'000);
  }
  add_copy(name, {text.data(), text.size()});
}

void add_call_headers(ReplyHeaders& headers, const policy::Call& call) noexcept {
  headers.add("x-request-id", call.request_id);
  if (!call.client_request_id.empty()) headers.add("x-client-request-id", call.client_request_id);
  if (const ledger::RateView& view = call.ticket.requests; view.present) {
    headers.add_number("x-ratelimit-limit-requests", view.limit);
    headers.add_number("x-ratelimit-remaining-requests", view.remaining);
    headers.add_duration("x-ratelimit-reset-requests", view.reset);
  }
  if (const ledger::RateView& view = call.ticket.tokens; view.present) {
    headers.add_number("x-ratelimit-limit-tokens", view.limit);
    headers.add_number("x-ratelimit-remaining-tokens", view.remaining);
    headers.add_duration("x-ratelimit-reset-tokens", view.reset);
  }
}

void add_upstream_headers(ReplyHeaders& headers, const http::AnswerHead& head) noexcept {
  constexpr std::size_t kMostBytes = 64;
  for (const auto& [name, value] : head.others) {
    for (const std::string_view passed : http::kPassedHeaders) {
      if (name == passed && value.size() <= kMostBytes) headers.add_copy(passed, value);
    }
  }
}

void add_retry_headers(ReplyHeaders& headers, const dialect::ErrorAnswer& answer,
                       std::chrono::milliseconds retry_after) noexcept {
  using ShouldRetry = dialect::ErrorAnswer::ShouldRetry;
  if (answer.should_retry != ShouldRetry::kUnsaid)
    headers.add("x-should-retry", answer.should_retry == ShouldRetry::kYes ? "true" : "false");
  if (answer.should_retry == ShouldRetry::kNo || retry_after.count() <= 0) return;
  // Whole seconds, both headers alike: an SDK reads the one or the other. Beyond 60 s some SDKs give up or sleep it
  // all.
  const std::int64_t seconds = std::clamp<std::int64_t>((retry_after.count() + 999) / 1'000, 1, 60);
  headers.add_number("retry-after", static_cast<std::uint64_t>(seconds));
  headers.add_number("retry-after-ms", static_cast<std::uint64_t>(std::min<std::int64_t>(retry_after.count(), 60'000)));
}

void add_limit_headers(ReplyHeaders& headers, const ledger::Refusal& refusal, WallTime now) noexcept {
  if (!refusal.refused()) return;
  char name[32];
  headers.add_copy("x-sluice-limit-name", ledger::limit_name(refusal.by(), name));
  headers.add("x-sluice-limit-scope", ledger::to_string(refusal.scope));
  headers.add_number("x-sluice-limit-amount", refusal.limit);
  headers.add_number("x-sluice-limit-remaining", refusal.left);
  const bool budget = refusal.resets != WallTime{};
  if (budget && refusal.period == BudgetPeriod::kTotal) return headers.add("x-sluice-limit-reset", "never");
  headers.add_duration("x-sluice-limit-reset", budget
                                                   ? std::chrono::ceil<std::chrono::milliseconds>(refusal.resets - now)
                                                   : refusal.retry_after);
}

void add_cors_headers(ReplyHeaders& headers, std::string_view origin, std::span<const std::string> allowed) noexcept {
  if (origin.empty() || allowed.empty()) return;
  const bool any = std::ranges::find(allowed, "*") != allowed.end();
  if (!any && std::ranges::find(allowed, origin) == allowed.end()) return;
  if (any) {
    headers.add("access-control-allow-origin", "*");
  } else {
    headers.add_copy("access-control-allow-origin", origin);
    headers.add("vary", "Origin");
  }
  headers.add("access-control-expose-headers", dialect::kReadBySdks);
}

Task<Status> answer_error(http::Incoming& client, const dialect::Dialect& dialect, Error error,
                          std::string_view message) {
  dialect::ErrorAnswer answer = dialect.error_answer(error, message);
  ReplyHeaders headers;
  std::array<char, 40> id{};
  headers.add("content-type", "application/json");
  headers.add("x-request-id", make_request_id(id));
  dialect.add_request_id(answer, {id.data(), kRequestIdBytes});
  add_retry_headers(headers, answer, dialect::is_busy(answer.status) ? kRetrySoon : std::chrono::milliseconds{0});
  co_return co_await client.respond(answer.status, headers.span(), answer.body);
}

std::string_view make_request_id(std::span<char, 40> into) noexcept {
  std::ranges::copy(kRequestIdMark, into.data());
  write_hex(random_id(), into.subspan(4, 16));
  write_hex(random_id(), into.subspan(20, 16));
  return {into.data(), kRequestIdBytes};
}

}  // namespace sluice::proxy
