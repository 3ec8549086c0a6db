#include "identity/sha256.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace sluice::identity {

// The low-level calls, though OpenSSL 3 deprecates them: a key fits one block, and fetching the algorithm through EVP
// costs several times what the hash itself does.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Sha256 sha256(std::string_view bytes) noexcept {
  SHA256_CTX context;
  Sha256 hash;
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(hash.data(), &context);
  OPENSSL_cleanse(&context, sizeof context);
  return hash;
}
#pragma GCC diagnostic pop

std::string to_hex(const Sha256& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(hash.size() * 2);
  for (const std::uint8_t byte : hash) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace sluice::identity
