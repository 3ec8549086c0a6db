// Labels as a record keeps them.
#pragma once

#include <span>
#include <string>
#include <utility>

#include "journal/audit_record.h"

namespace sluice::journal {

// A JSON object of as many whole pairs as fit; empty: there are none. Allocates nothing.
[[nodiscard]] decltype(AuditRecord::labels) label_text(
    std::span<const std::pair<std::string, std::string>> labels) noexcept;

}  // namespace sluice::journal
