// Where a place has what it keeps of a response.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "dialect/endpoint.h"
#include "upstream/place.h"

namespace sluice::proxy {

// What a call of kStored names.
struct StoredPath {
  const dialect::Endpoint& endpoint;
  std::string_view id;
  std::string_view query = {};  // the client's
};

// The path at this place, of `model` as it is called there: the id stands behind the place's own path, and the query
// behind its own. Lifetime: of `made`.
[[nodiscard]] inline std::string_view stored_path(const upstream::Place& place, const StoredPath& of,
                                                  std::string_view model, std::string& made) {
  const std::string_view own = place.path(of.endpoint, model, made);
  const std::size_t end = std::min(own.find('?'), own.size());
  std::string path(own.substr(0, end));
  path.append(of.id).append(of.endpoint.behind_id).append(own.substr(end));
  if (!of.query.empty()) path.append(end == own.size() ? "?" : "&").append(of.query);
  made = std::move(path);
  return made;
}

}  // namespace sluice::proxy
