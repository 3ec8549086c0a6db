// JSON answers as text for people.
#pragma once

#include <string>

#include "base/json.h"

namespace sluice::admin {

// A list of objects: a table with a column for each member of the first; an object: one "name: value" line each.
[[nodiscard]] std::string as_table(const json::value& value);

}  // namespace sluice::admin
