#include "config/route_text.h"

#include <absl/status/status.h>

#include "config/text.h"

namespace sluice::config {
namespace {

constexpr std::uint32_t kMostWeight = 1'000;

std::string_view without_spaces(std::string_view text) noexcept {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

absl::StatusOr<RouteOption> parse_option(std::string_view text) {
  RouteOption option;
  if (const std::size_t equals = text.rfind('='); equals != std::string_view::npos) {
    const std::string_view weight = without_spaces(text.substr(equals + 1));
    if (!parse_whole(weight, option.weight) || option.weight == 0 || option.weight > kMostWeight)
      return absl::InvalidArgumentError(
          cat("\"", weight, "\" is no weight: a whole number from 1 to ", kMostWeight, ", as in \"big=3, small=1\""));
    text = without_spaces(text.substr(0, equals));
  }
  if (text == "*") {
    option.kind = RouteOption::Kind::kAny;
    return option;
  }
  if (remove_prefix(text, "tag:")) option.kind = RouteOption::Kind::kTag;
  if (remove_prefix(text, "agent:")) option.kind = RouteOption::Kind::kAgent;
  const std::size_t star = text.find('*');
  const bool open = option.kind == RouteOption::Kind::kAgent && star + 1 == text.size();
  if (text.empty() || (star != std::string_view::npos && !open))
    return absl::InvalidArgumentError(
        "a place is NAME of an [[upstream]], tag:TAG of several, agent:NAME (a * at its end stands for any more), or * "
        "for whatever serves the model");
  option.name = text;
  return option;
}

}  // namespace

absl::StatusOr<std::vector<RouteOption>> parse_rank(std::string_view text) {
  std::vector<RouteOption> options;
  for (;;) {
    const std::size_t comma = text.find(',');
    auto option = parse_option(without_spaces(text.substr(0, comma)));
    if (!option.ok()) return option.status();
    options.push_back(*std::move(option));
    if (comma == std::string_view::npos) return options;
    text.remove_prefix(comma + 1);
  }
}

bool fits(std::string_view pattern, std::string_view name) noexcept {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  const std::string_view begins = pattern.substr(0, star), ends = pattern.substr(star + 1);
  return name.size() >= begins.size() + ends.size() && name.starts_with(begins) && name.ends_with(ends);
}

}  // namespace sluice::config
