// The dialects of a program, and their endpoints as one table. server/dialects has the one row for each dialect.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"
#include "dialect/translation.h"

namespace sluice::dialect {

// What a path was found to be.
struct Match {
  const Dialect* dialect = nullptr;    // never null: whose words an error is told in, at the least
  const Endpoint* endpoint = nullptr;  // null: no such endpoint
  std::uint32_t number = 0;            // of the endpoint, in Table::endpoints()
  std::string_view rest = {};          // of kShowModel and kStored: as match_path() gives it
  std::string_view model = {};         // that the path names in place of the body's, still percent-encoded
  Methods methods = Methods::kNone;    // that the path takes: one of what is kept may take several, each with a row
  const char* advice = "";             // where there is no endpoint: what to tell the client
};

// How calls of one endpoint are made at a place that does not have it.
struct Detour {
  const Translation* translation = nullptr;
  std::uint32_t number = 0;  // of the endpoint that the place has
  const Dialect* dialect = nullptr;
  const Endpoint* endpoint = nullptr;
  std::string text;  // "messages -> chat.completions"
};

// Immutable.
// Lifetime: dialects and translations outlive it.
class Table final {
 public:
  // The first dialect is the one that strangers are answered in; it has advice for every path.
  // REQUIRES: not empty; at most kMostEndpoints endpoints in all, no two with one name; of an endpoint one translation,
  // from and to endpoints that are there.
  explicit Table(std::initializer_list<const Dialect*> dialects,
                 std::initializer_list<const Translation*> translations = {});

  static constexpr std::size_t kMostEndpoints = 64;

  // Exact, case-sensitive, no normalisation: "/v1/../x", "/v1/chat%2Fcompletions" and a trailing slash match nothing.
  // Of the rows that share a path that with `method`, or the first: whether it takes the method, check_method() says.
  // Aliases of dialects are as exact: what they stand for is looked up.
  [[nodiscard]] Match find(std::string_view path, std::string_view method = "POST") const noexcept;
  [[nodiscard]] const Dialect& first() const noexcept { return *dialects_.front(); }
  [[nodiscard]] std::span<const Dialect* const> dialects() const noexcept { return dialects_; }
  // Which endpoints a dialect has: a bit for the number of each. 0: there is no dialect of that name.
  [[nodiscard]] std::uint64_t endpoints_of(std::string_view dialect) const noexcept;
  // All endpoints, by number.
  [[nodiscard]] std::span<const Endpoint> endpoints() const noexcept { return endpoints_; }
  // Of calls of the endpoint with this number; null: there is none.
  [[nodiscard]] const Detour* detour(std::uint32_t endpoint) const noexcept {
    const std::optional<Detour>& found = detours_[endpoint];
    return found ? &*found : nullptr;
  }

 private:
  [[nodiscard]] std::uint32_t number_of(std::string_view endpoint) const noexcept;
  [[nodiscard]] Match find_alias(std::string_view path, std::string_view method) const noexcept;

  std::vector<const Dialect*> dialects_;
  std::vector<Endpoint> endpoints_;
  std::vector<const Dialect*> owners_;          // of the endpoints
  std::vector<std::optional<Detour>> detours_;  // by the number of the endpoint that a client calls
};

}  // namespace sluice::dialect
