// The tables of the SQLite store, and how an older file becomes a newer one.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "store/sqlite.h"

namespace sluice::store {

inline constexpr int kSchemaVersion = 12;
inline constexpr std::int32_t kApplicationId = 0x534c5543;  // "SLUC": marks the file as ours

// Makes the tables or migrates them, one version after another, each in one transaction.
// kFailedPrecondition: the file is another program's, or a newer sluice wrote it.
absl::Status prepare_schema(Database& database, std::string_view path);
// For a reader, which changes nothing: gives the file's version, 0 for one without tables. Errors as above.
absl::StatusOr<int> read_version(Database& database, std::string_view path);

}  // namespace sluice::store
