#include "dialect/table.h"

namespace sluice::dialect {
namespace {

bool matches(const Endpoint& endpoint, std::string_view path) noexcept {
  if (endpoint.work != Work::kShowModel) return path == endpoint.path;
  return path.size() > endpoint.path.size() && path.starts_with(endpoint.path);
}

}  // namespace

Table::Table(std::initializer_list<const Dialect*> dialects) : dialects_(dialects) {
  for (const Dialect* dialect : dialects_) {
    for (const Endpoint& endpoint : dialect->endpoints()) {
      endpoints_.push_back(endpoint);
      owners_.push_back(dialect);
    }
  }
}

std::uint64_t Table::endpoints_of(std::string_view dialect) const noexcept {
  std::uint64_t bits = 0;
  for (std::size_t number = 0; number < owners_.size(); ++number) {
    if (owners_[number]->name() == dialect) bits |= std::uint64_t{1} << number;
  }
  return bits;
}

Match Table::find(std::string_view path) const noexcept {
  for (std::uint32_t number = 0; number < endpoints_.size(); ++number) {
    const Endpoint& endpoint = endpoints_[number];
    if (!matches(endpoint, path)) continue;
    Match match{.dialect = owners_[number], .endpoint = &endpoint, .number = number};
    if (endpoint.work == Work::kShowModel) match.rest = path.substr(endpoint.path.size());
    return match;
  }
  for (std::size_t i = dialects_.size(); i-- > 1;) {
    if (const char* const advice = dialects_[i]->advice_for(path); advice != nullptr)
      return {.dialect = dialects_[i], .advice = advice};
  }
  return {.dialect = dialects_.front(), .advice = dialects_.front()->advice_for(path)};
}

}  // namespace sluice::dialect
