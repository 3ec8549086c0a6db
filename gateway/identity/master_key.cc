#include "identity/master_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <memory>

namespace sluice::identity {
namespace {

constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::string_view kPurpose = "sluice secrets 1";

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherFree>;

unsigned char* bytes_of(std::string& text) noexcept { return reinterpret_cast<unsigned char*>(text.data()); }
unsigned char* bytes_of(SecretText& text) noexcept { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string bound_to(std::string_view name, std::uint64_t version) {
  return std::string(name) + '\0' + std::to_string(version);
}

// OpenSSL fails here for want of memory alone.
void expect(bool good) noexcept {
  if (!good) std::abort();
}

}  // namespace

absl::StatusOr<MasterKey> MasterKey::derive(std::string_view text) {
  if (text.size() < kLeastText)
    return absl::InvalidArgumentError(
        "the master key is too short: it is a line of at least 32 random characters; make one with: openssl rand "
        "-base64 48");
  MasterKey made;
  std::size_t size = made.key_.size();
  EVP_PKEY_CTX* const hkdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr);
  expect(hkdf != nullptr && EVP_PKEY_derive_init(hkdf) > 0 && EVP_PKEY_CTX_set_hkdf_md(hkdf, EVP_sha256()) > 0 &&
         EVP_PKEY_CTX_set1_hkdf_key(hkdf, bytes_of(text), static_cast<int>(text.size())) > 0 &&
         EVP_PKEY_CTX_add1_hkdf_info(hkdf, bytes_of(kPurpose), static_cast<int>(kPurpose.size())) > 0 &&
         EVP_PKEY_derive(hkdf, made.key_.data(), &size) > 0);
  EVP_PKEY_CTX_free(hkdf);
  return made;
}

MasterKey::~MasterKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

std::string MasterKey::seal(std::string_view name, std::uint64_t version, std::string_view text) const {
  std::string sealed(kNonceBytes + text.size() + kTagBytes, '\0');
  unsigned char* const nonce = bytes_of(sealed);
  unsigned char* const body = nonce + kNonceBytes;
  const std::string bound = bound_to(name, version);
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  expect(cipher != nullptr && RAND_bytes(nonce, kNonceBytes) == 1 &&
         EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key_.data(), nonce) == 1 &&
         EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(std::string_view(bound)),
                           static_cast<int>(bound.size())) == 1 &&
         EVP_EncryptUpdate(cipher.get(), body, &size, bytes_of(text), static_cast<int>(text.size())) == 1 &&
         EVP_EncryptFinal_ex(cipher.get(), body + text.size(), &size) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, body + text.size()) == 1);
  return sealed;
}

std::optional<SecretText> MasterKey::open(std::string_view name, std::uint64_t version, std::string_view sealed) const {
  if (sealed.size() < kNonceBytes + kTagBytes) return std::nullopt;
  const std::string_view body = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  const std::string bound = bound_to(name, version);
  SecretText text(body.size(), '\0');
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool good =
      cipher != nullptr &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key_.data(), bytes_of(sealed)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(std::string_view(bound)),
                        static_cast<int>(bound.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), bytes_of(text), &size, bytes_of(body), static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, bytes_of(tag)) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), bytes_of(text) + body.size(), &size) == 1;
  return good ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace sluice::identity
