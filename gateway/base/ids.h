// Identifiers: random where they must not be guessed, counted where they must only differ.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// 64 random bits from this thread's own generator, seeded by the system: unique enough to name things, not a secret.
[[nodiscard]] std::uint64_t random_id() noexcept;

// Lower-case hexadecimal. REQUIRES: into.size() >= 16.
std::string_view write_hex(std::uint64_t value, std::span<char> into) noexcept;
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);

}  // namespace sluice
