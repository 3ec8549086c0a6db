// What the texts of [[routes]] mean: names of models with a *, and ranks of places.
//
//   rank     option *( "," option )
//   option   where [ "=" weight ]                weight: 1 to 1000, 1 where there is none
//   where    NAME                                an [[upstream]]
//            "tag:" TAG                          every [[upstream]] with this tag
//            "agent:" NAME | "agent:" NAME "*"   agents by name, or by how it begins
//            "*"                                 whatever serves the model
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

struct RouteOption {
  enum class Kind : std::uint8_t { kUpstream, kTag, kAgent, kAny };
  Kind kind = Kind::kUpstream;
  std::string name;  // of kAgent with the * at its end, where there is one
  std::uint32_t weight = 1;
};

// Error: what is wrong, and what is right.
[[nodiscard]] absl::StatusOr<std::vector<RouteOption>> parse_rank(std::string_view text);

// Whether a name is the one that is meant, where one * stands for any text.
[[nodiscard]] bool fits(std::string_view pattern, std::string_view name) noexcept;

}  // namespace sluice::config
