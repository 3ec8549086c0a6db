// The keys that callers and new agents show.
//
//   sk-sluice- 7Gh2…27 characters…Qx4 c0FFee      an API key, 43 characters
//   sp-sluice- 7Gh2…27 characters…Qx4 c0FFee      a pairing key
//   \_prefix_/ \_______random_______/ \checksum/
//
// The random part is 27 base62 digits, 160.7 bits. The checksum is XXH32 of all that stands before it, six base62
// digits: it tells a mistyped key from an unknown one without a look-up, and lets a secret scanner be sure of what it
// found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "identity/sha256.h"

namespace sluice::identity {

inline constexpr std::string_view kApiKeyPrefix = "sk-sluice-";
inline constexpr std::string_view kPairingKeyPrefix = "sp-sluice-";
inline constexpr std::size_t kSecretDigits = 27;
inline constexpr std::size_t kChecksumDigits = 6;

using SecretText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

// A new secret and what is kept of it. The text is longer than any small-string buffer, so the allocator wipes it.
struct NewSecret {
  SecretText text;
  Sha256 hash{};
  std::string hint;  // "sk-sluice-7Gh2…": what lists show, far too little to guess from
};

// Draws from the system's random source. Aborts if that fails: no key is better than a weak one.
[[nodiscard]] NewSecret create_secret(std::string_view prefix);

enum class SecretForm : std::uint8_t {
  kGood,      // well-formed; whether anybody knows it is another matter
  kForeign,   // not one of ours at all: another prefix
  kMistyped,  // meant to be ours, but its length, a character or the checksum is wrong
};
[[nodiscard]] SecretForm check_form(std::string_view text, std::string_view prefix) noexcept;

}  // namespace sluice::identity
