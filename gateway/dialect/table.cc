#include "dialect/table.h"

#include <algorithm>
#include <array>

namespace sluice::dialect {
namespace {

constexpr std::size_t kAliasBytes = 1024;  // a longer path is nobody's

}  // namespace

Table::Table(std::initializer_list<const Dialect*> dialects, std::initializer_list<const Translation*> translations)
    : dialects_(dialects) {
  for (const Dialect* dialect : dialects_) {
    for (const Endpoint& endpoint : dialect->endpoints()) {
      endpoints_.push_back(endpoint);
      owners_.push_back(dialect);
    }
  }
  detours_.resize(endpoints_.size());
  for (const Translation* translation : translations) {
    const std::uint32_t to = number_of(translation->to());
    detours_[number_of(translation->from())] = {
        .translation = translation,
        .number = to,
        .dialect = owners_[to],
        .endpoint = &endpoints_[to],
        .text = std::string(translation->from()) + " -> " + std::string(translation->to())};
  }
}

std::uint32_t Table::number_of(std::string_view endpoint) const noexcept {
  return static_cast<std::uint32_t>(std::ranges::find(endpoints_, endpoint, &Endpoint::name) - endpoints_.begin());
}

std::uint64_t Table::endpoints_of(std::string_view dialect) const noexcept {
  std::uint64_t bits = 0;
  for (std::size_t number = 0; number < owners_.size(); ++number) {
    if (owners_[number]->name() == dialect) bits |= std::uint64_t{1} << number;
  }
  return bits;
}

Match Table::find(std::string_view path, std::string_view method) const noexcept {
  if (method == "HEAD") method = "GET";
  Match match;
  for (std::uint32_t number = 0; number < endpoints_.size(); ++number) {
    const Endpoint& endpoint = endpoints_[number];
    const std::optional<std::string_view> rest = match_path(endpoint, path);
    if (!rest) continue;
    match.methods = match.methods | methods_of(endpoint);
    if (match.endpoint != nullptr && endpoint.method != method) continue;
    match.dialect = owners_[number];
    match.endpoint = &endpoint;
    match.number = number;
    match.rest = *rest;
    if (!is_about_kept(endpoint)) break;  // else another row may have the same path
  }
  if (match.endpoint != nullptr) return match;
  if (const Match alias = find_alias(path, method); alias.dialect != nullptr) return alias;
  for (std::size_t i = dialects_.size(); i-- > 1;) {
    if (const char* const advice = dialects_[i]->advice_for(path); advice != nullptr)
      return {.dialect = dialects_[i], .advice = advice};
  }
  return {.dialect = dialects_.front(), .advice = dialects_.front()->advice_for(path)};
}

// None: its dialect is null. Of what is open in the endpoint's path both have the same end.
Match Table::find_alias(std::string_view path, std::string_view method) const noexcept {
  std::array<char, kAliasBytes> scratch;
  for (const Dialect* const dialect : dialects_) {
    const Alias alias = dialect->alias_of(path, scratch);
    if (alias.path.empty()) continue;
    Match match = find(alias.path, method);
    match.model = alias.model;
    if (!match.rest.empty()) {
      const auto begin = static_cast<std::size_t>(match.rest.data() - alias.path.data());
      match.rest = path.substr(path.size() - (alias.path.size() - begin), match.rest.size());
    }
    return match;
  }
  return {};
}

}  // namespace sluice::dialect
