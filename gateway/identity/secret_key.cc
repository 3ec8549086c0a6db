#include "identity/secret_key.h"

#include <openssl/rand.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstdlib>

namespace sluice::identity {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::array<bool, 256> digit_table() {
  std::array<bool, 256> table{};
  for (const char c : kDigits) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kIsDigit = digit_table();

// Appends uniformly drawn digits: bytes of 248 and above are thrown away, since 256 is no multiple of 62.
void append_random(SecretText& text, std::size_t digits) {
  std::array<unsigned char, 64> pool;
  std::size_t used = pool.size();
  while (digits > 0) {
    if (used == pool.size()) {
      if (RAND_bytes(pool.data(), static_cast<int>(pool.size())) != 1) std::abort();
      used = 0;
    }
    const unsigned char byte = pool[used++];
    if (byte >= 248) continue;
    text += kDigits[byte % 62];
    --digits;
  }
  wipe(pool.data(), pool.size());
}

std::array<char, kChecksumDigits> checksum(std::string_view text) noexcept {
  std::uint32_t sum = XXH32(text.data(), text.size(), 0);
  std::array<char, kChecksumDigits> digits;
  for (std::size_t i = kChecksumDigits; i-- > 0; sum /= 62) digits[i] = kDigits[sum % 62];
  return digits;
}

}  // namespace

NewSecret create_secret(std::string_view prefix) {
  NewSecret secret;
  secret.text.reserve(prefix.size() + kSecretDigits + kChecksumDigits + 1);
  secret.text.assign(prefix);
  append_random(secret.text, kSecretDigits);
  const auto sum = checksum(secret.text);
  secret.text.append(sum.data(), sum.size());
  secret.hash = sha256(secret.text);
  secret.hint = std::string(std::string_view(secret.text).substr(0, prefix.size() + 4)) + "…";
  return secret;
}

SecretForm check_form(std::string_view text, std::string_view prefix) noexcept {
  if (text.size() != prefix.size() + kSecretDigits + kChecksumDigits || !text.starts_with(prefix))
    return text.starts_with(prefix) ? SecretForm::kMistyped : SecretForm::kForeign;
  for (const char c : text.substr(prefix.size()))
    if (!kIsDigit[static_cast<unsigned char>(c)]) return SecretForm::kMistyped;
  const std::string_view body = text.substr(0, text.size() - kChecksumDigits);
  const auto sum = checksum(body);
  return text.substr(body.size()) == std::string_view(sum.data(), sum.size()) ? SecretForm::kGood
                                                                              : SecretForm::kMistyped;
}

}  // namespace sluice::identity
