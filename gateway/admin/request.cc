#include "admin/request.h"

#include <algorithm>

#include "admin/text.h"
#include "base/text.h"

namespace sluice::admin {
namespace {

// Calls `visit` with each part; stops and says no where it does.
template <class Visit>
bool split(std::string_view text, char at, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    if (!visit(text.substr(0, end))) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

}  // namespace

std::optional<Request> parse_target(std::string_view method, std::string_view target) {
  Request request{.method = std::string(method), .path = {}, .query = {}, .body = json::object(wiping_storage())};
  const std::size_t mark = target.find('?');
  if (!target.starts_with('/')) return std::nullopt;
  const std::string_view path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  const bool path_good = split(path, '/', [&](std::string_view part) {
    auto plain = percent_decode(part);
    if (plain) request.path.push_back(std::move(*plain));
    return plain.has_value();
  });
  const std::string_view query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  const bool query_good = split(query, '&', [&](std::string_view part) {
    const std::size_t equals = std::min(part.find('='), part.size());
    auto name = percent_decode(part.substr(0, equals));
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())));
    if (name && value) request.query.insert_or_assign(std::move(*name), std::move(*value));
    return name && value;
  });
  if (!path_good || !query_good) return std::nullopt;
  return request;
}

std::string query_of(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

absl::StatusOr<std::uint64_t> key_id(const std::string& text) {
  if (const auto id = parse_id(Scope::kKey, text)) return *id;
  return absl::InvalidArgumentError("keys are named by their id, such as key_12; see: sluice key list");
}

Answer json_answer(const json::value& value) {
  return {.status = 200,
          .content_type = "application/json",
          .body = json::serialize(value) + "\n",
          .secret = {},
          .more = {}};
}

Answer error_answer(const absl::Status& status) {
  Answer answer;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      answer.status = 400;
      break;
    case absl::StatusCode::kPermissionDenied:
      answer.status = 403;
      break;
    case absl::StatusCode::kNotFound:
      answer.status = 404;
      break;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      answer.status = 409;
      break;
    case absl::StatusCode::kUnavailable:
      answer.status = 503;
      break;
    default:
      answer.status = 500;
  }
  answer.body = json::serialize(json::object{{"error", std::string(status.message())}}) + "\n";
  return answer;
}

}  // namespace sluice::admin
