#include "dialect/endpoint.h"

#include <algorithm>
#include <array>

namespace sluice::dialect {
namespace {

constexpr std::size_t kMostQueryBytes = 1024;

constexpr bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// By the bits of Methods.
struct Taken {
  std::string_view allow;
  const char* refusal;
};
constexpr std::array<Taken, 8> kTaken{{
    {"OPTIONS", "This path takes no such method."},
    {"GET, HEAD, OPTIONS", "This path takes GET requests only; send GET (or HEAD)."},
    {"POST, OPTIONS", "This path takes POST requests only; send POST."},
    {"GET, HEAD, POST, OPTIONS", "This path takes GET and POST requests; send one of them."},
    {"DELETE, OPTIONS", "This path takes DELETE requests only; send DELETE."},
    {"GET, HEAD, DELETE, OPTIONS", "This path takes GET and DELETE requests; send one of them."},
    {"POST, DELETE, OPTIONS", "This path takes POST and DELETE requests; send one of them."},
    {"GET, HEAD, POST, DELETE, OPTIONS", "This path takes GET, POST and DELETE requests; send one of them."},
}};

constexpr bool takes(Methods methods, Methods one) noexcept {
  return (static_cast<std::uint8_t>(methods) & static_cast<std::uint8_t>(one)) != 0;
}

}  // namespace

bool is_stored_id(std::string_view text) noexcept {
  if (text == "compact" || text == "input_tokens") return false;
  return !text.empty() && text.size() <= kMostIdBytes &&
         std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '='; });
}

bool is_plain_query(std::string_view query) noexcept {
  return query.size() <= kMostQueryBytes && std::ranges::all_of(query, [](char c) {
           return is_alphanumeric(c) || std::string_view("_-.=&[]%,+").find(c) != std::string_view::npos;
         });
}

std::optional<std::string_view> match_path(const Endpoint& endpoint, std::string_view path) noexcept {
  const bool open = endpoint.work == Work::kShowModel || endpoint.work == Work::kStored;
  if (!open) return path == endpoint.path ? std::optional(std::string_view()) : std::nullopt;
  if (path.size() <= endpoint.path.size() + endpoint.behind_id.size() || !path.starts_with(endpoint.path))
    return std::nullopt;
  std::string_view rest = path.substr(endpoint.path.size());
  if (endpoint.work == Work::kShowModel) return rest;
  if (!rest.ends_with(endpoint.behind_id)) return std::nullopt;
  rest.remove_suffix(endpoint.behind_id.size());
  return is_stored_id(rest) ? std::optional(rest) : std::nullopt;
}

Methods methods_of(const Endpoint& endpoint) noexcept {
  if (endpoint.method == "GET") return Methods::kGet;
  return endpoint.method == "DELETE" ? Methods::kDelete : Methods::kPost;
}

Status check_method(Methods methods, std::string_view method) noexcept {
  if ((method == "GET" || method == "HEAD") && takes(methods, Methods::kGet)) return ok();
  if (method == "POST" && takes(methods, Methods::kPost)) return ok();
  if (method == "DELETE" && takes(methods, Methods::kDelete)) return ok();
  return client_error(ErrorKind::kMethodNotAllowed, kTaken[static_cast<std::size_t>(methods)].refusal);
}

std::string_view allowed_methods(Methods methods) noexcept { return kTaken[static_cast<std::size_t>(methods)].allow; }

}  // namespace sluice::dialect
