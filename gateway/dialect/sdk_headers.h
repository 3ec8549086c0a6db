// Headers that SDKs of any dialect send and read: what a browser of another origin is told that it may.
#pragma once

#include <string_view>

namespace sluice::dialect {

// "*" does not cover Authorization (Fetch standard, section 3.2.4): what SDKs send is named.
inline constexpr std::string_view kSentBySdks =
    "authorization, content-type, api-key, x-api-key, openai-organization, openai-project, openai-beta, "
    "anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access, "
    "x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, "
    "x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout, x-stainless-read-timeout, "
    "x-stainless-helper, x-stainless-helper-method, x-stainless-poll-helper, x-stainless-custom-poll-interval, "
    "user-agent, idempotency-key, x-request-id, x-client-request-id, traceparent, tracestate, baggage, session-id, "
    "x-session-id, x-session-affinity, x-sluice-labels";

inline constexpr std::string_view kReadBySdks =
    "x-request-id, request-id, x-client-request-id, openai-processing-ms, openai-version, retry-after, retry-after-ms, "
    "x-should-retry, x-ratelimit-limit-requests, "
    "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, x-sluice-limit-name, x-sluice-limit-scope, "
    "x-sluice-limit-amount, x-sluice-limit-remaining, x-sluice-limit-reset";

}  // namespace sluice::dialect
