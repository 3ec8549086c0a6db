#include "agent/forwarded_calls.h"

#include <algorithm>

#include "tunnel/session.h"

namespace sluice::agent {
namespace {

bool is_forwarded(const dialect::Endpoint& endpoint) noexcept { return endpoint.agents != dialect::Agents::kNone; }

// "POST /v1/x" is `method` and `path`.
bool is_call(std::string_view text, std::string_view method, std::string_view path) noexcept {
  return text.size() == method.size() + 1 + path.size() && text.starts_with(method) && text[method.size()] == ' ' &&
         text.ends_with(path);
}

// A path that stands for itself: no query, no escapes, no way up.
bool is_plain_path(std::string_view path) noexcept {
  const bool plain = std::ranges::all_of(path, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/-_.~:").find(c) != std::string_view::npos;
  });
  return plain && path.find("..") == std::string_view::npos && path.find("//") == std::string_view::npos;
}

}  // namespace

// A query goes with what is stored alone.
bool ForwardedCalls::allows(std::string_view method, std::string_view path) const noexcept {
  const std::size_t question = std::min(path.find('?'), path.size());
  const bool plain = question == path.size() || dialect::is_plain_query(path.substr(question + 1));
  const auto of_table = [&](const dialect::Endpoint& endpoint) {
    if (!is_forwarded(endpoint) || endpoint.method != method) return false;
    if (endpoint.work != dialect::Work::kStored) return endpoint.path == path;
    return plain && dialect::match_path(endpoint, path.substr(0, question)).has_value();
  };
  const auto of_owner = [&](const std::string& text) { return is_call(text, method, path); };
  return std::ranges::any_of(endpoints_, of_table) || std::ranges::any_of(allowed_, of_owner);
}

void ForwardedCalls::tell(const tunnel::Hello& hello, tunnel::HelloAnswer& answer) const {
  answer.endpoints.emplace();
  for (const dialect::Endpoint& endpoint : endpoints_) {
    const bool named =
        hello.endpoints.empty() || std::ranges::find(hello.endpoints, endpoint.name) != hello.endpoints.end();
    if (named && is_forwarded(endpoint)) answer.endpoints->emplace_back(endpoint.name);
  }
  answer.allowed = allowed_;
}

std::string wrong_allowance(const std::string& text) {
  constexpr const char* kForm = "must be a method and a path, such as 'POST /v1/ocr'";
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return kForm;
  const std::string_view method = std::string_view(text).substr(0, space);
  const std::string_view path = std::string_view(text).substr(space + 1);
  if (method != "GET" && method != "POST") return std::string(kForm) + "; the method is GET or POST";
  if (!path.starts_with('/')) return kForm;
  if (!is_plain_path(path)) return std::string(kForm) + "; the path is one, without query or escapes";
  if (path.starts_with(tunnel::kControlPrefix)) return "must be no path of the tunnel's own";
  return {};
}

}  // namespace sluice::agent
