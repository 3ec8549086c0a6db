// JSON answers as text for people.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace sluice::cli {

// A list of objects: a table with the named columns, or with one for each member; of what stands inside a cell the
// names are enough. An object: one "name: value" line each.
[[nodiscard]] std::string as_table(const json::value& value, std::span<const std::string_view> columns = {});

}  // namespace sluice::cli
