// What is kept of the head of an answer beside the members of AnswerHead. The rest of it is nobody's business.
#pragma once

#include <array>
#include <string_view>

namespace sluice::http {

// What an upstream says of its own work and SDKs' users read, in every dialect: these go on to the client.
inline constexpr std::array<std::string_view, 2> kPassedHeaders{"openai-processing-ms", "openai-version"};

inline constexpr std::array<std::string_view, 3> kKeptHeaders{kPassedHeaders[0], kPassedHeaders[1], "retry-after-ms"};

// Headers of calls and answers whose every value comes once.
inline constexpr std::array<std::string_view, 5> kOneTimeHeaders{"content-length", "idempotency-key",
                                                                 "openai-processing-ms", "traceparent", "x-request-id"};

}  // namespace sluice::http
