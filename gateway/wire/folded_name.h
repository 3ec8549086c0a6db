// Names of members as a model server may read them: some servers fold case.
#pragma once

#include <string_view>

namespace sluice::wire {

// Whether a server that folds case could take `text` for `lower_case`.
[[nodiscard]] bool equals_folded(std::string_view text, std::string_view lower_case) noexcept;

}  // namespace sluice::wire
