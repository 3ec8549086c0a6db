// Values with units, written as the conf file and the command line write them. What reads them is in loader.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"

namespace sluice::config {

[[nodiscard]] std::string format_duration(Duration duration);       // "30s"
[[nodiscard]] std::string format_size(std::size_t size_bytes);      // "16MiB"
[[nodiscard]] std::string format_usd(std::uint64_t micro_usd);      // "25.50"
[[nodiscard]] std::string format_budget(const BudgetSpec& budget);  // "tokens:1000000/month"

// "25", "25.5", "0.000001": dollars with at most six decimals. Nothing: anything else.
[[nodiscard]] std::optional<std::uint64_t> parse_micro_usd(std::string_view text);

// The number in the id of a key, "key_7". Nothing: it is no such id.
[[nodiscard]] std::optional<std::uint64_t> key_number(std::string_view id);

}  // namespace sluice::config
