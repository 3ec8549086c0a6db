// SHA-256, the one name under which a secret is known here: keys, pairing keys, certificates.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::identity {

using Sha256 = std::array<std::uint8_t, 32>;

// Hashes `bytes` without allocating; the scratch is wiped.
[[nodiscard]] Sha256 sha256(std::string_view bytes) noexcept;

// 64 lower-case hex digits.
[[nodiscard]] std::string to_hex(const Sha256& hash);

}  // namespace sluice::identity
