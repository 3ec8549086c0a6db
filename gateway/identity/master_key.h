// Seals what the store keeps and must not show: providers' keys.
//
//   sealed:  nonce (12 random bytes) | ciphertext | tag (16 bytes)        AES-256-GCM
//   bound to it (AAD): the secret's name, a zero byte, its version in digits
//
// so that nobody who writes to the store can put one secret in another's place; an older row, whole, is good again.
// The key is HKDF-SHA256 of the text that the operator keeps, who never keeps it beside the store.
#pragma once

#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "identity/secret_key.h"

namespace sluice::identity {

// Thread:   any; immutable.
// Lifetime: wiped at its end.
class MasterKey final {
 public:
  static constexpr std::size_t kLeastText = 32;  // characters

  // kInvalidArgument: the text is too short to be one.
  [[nodiscard]] static absl::StatusOr<MasterKey> derive(std::string_view text);
  ~MasterKey();
  MasterKey(const MasterKey&) = default;
  MasterKey& operator=(const MasterKey&) = default;

  [[nodiscard]] std::string seal(std::string_view name, std::uint64_t version, std::string_view text) const;
  // Nothing: it was sealed with another key or for another name or version, or it is damaged.
  [[nodiscard]] std::optional<SecretText> open(std::string_view name, std::uint64_t version,
                                               std::string_view sealed) const;

 private:
  MasterKey() = default;

  std::array<std::uint8_t, 32> key_{};
};

}  // namespace sluice::identity
