#include "net/traffic_key.h"

#include <openssl/hmac.h>

#include <algorithm>

#include "base/bytes.h"

namespace sluice::net {
namespace {

const unsigned char* bytes(const char* text) noexcept { return reinterpret_cast<const unsigned char*>(text); }
unsigned char* bytes(char* text) noexcept { return reinterpret_cast<unsigned char*>(text); }

// HKDF-Expand-Label(secret, label, "", into.size()) of RFC 8446, 7.1, for what fits into one block of the hash.
bool expand(const EVP_MD* hash, std::span<const unsigned char> secret, std::string_view label,
            std::span<unsigned char> into) {
  std::array<unsigned char, 32> text{};
  std::size_t size = 0;
  const auto add = [&](std::string_view part) { size += part.copy(reinterpret_cast<char*>(&text[size]), part.size()); };
  text[size++] = 0;
  text[size++] = static_cast<unsigned char>(into.size());
  text[size++] = static_cast<unsigned char>(6 + label.size());
  add("tls13 ");
  add(label);
  text[size++] = 0;  // no context
  text[size++] = 1;  // the first block
  std::array<unsigned char, EVP_MAX_MD_SIZE> block;
  unsigned block_bytes = 0;
  const bool made = HMAC(hash, secret.data(), static_cast<int>(secret.size()), text.data(), size, block.data(),
                         &block_bytes) != nullptr &&
                    into.size() <= block_bytes;
  if (made) std::copy_n(block.begin(), into.size(), into.begin());
  wipe(block.data(), block.size());
  return made;
}

}  // namespace

struct TrafficKey::Suite {
  std::uint16_t number;
  std::size_t key_bytes;
  std::size_t secret_bytes;
  const EVP_CIPHER* cipher;  // fetched once: a look-up by name costs as much as a record
  const EVP_MD* hash;
};

const TrafficKey::Suite* TrafficKey::find(std::uint16_t number) noexcept {
  static const std::array<Suite, 3> suites{{
      {0x1301, 16, 32, EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr), EVP_sha256()},
      {0x1302, 32, 48, EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr), EVP_sha384()},
      {0x1303, 32, 32, EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr), EVP_sha256()},
  }};
  const auto* const found = std::ranges::find(suites, number, &Suite::number);
  return found == suites.end() || found->cipher == nullptr ? nullptr : found;
}

TrafficKey::~TrafficKey() {
  EVP_CIPHER_CTX_free(cipher_);
  wipe(secret_.data(), secret_.size());
  wipe(iv_.data(), iv_.size());
}

bool TrafficKey::start(Use use, std::uint16_t suite, std::span<const unsigned char> secret, std::uint64_t records) {
  suite_ = find(suite);
  if (suite_ == nullptr || secret.size() != suite_->secret_bytes) return false;
  use_ = use;
  std::ranges::copy(secret, secret_.begin());
  if (!set_key()) return false;
  records_ = records;
  return true;
}

bool TrafficKey::update() {
  const std::span<unsigned char> secret(secret_.data(), suite_->secret_bytes);
  return expand(suite_->hash, secret, "traffic upd", secret) && set_key();
}

bool TrafficKey::set_key() {
  const std::span<const unsigned char> secret(secret_.data(), suite_->secret_bytes);
  std::array<unsigned char, 32> key;
  if (cipher_ == nullptr) cipher_ = EVP_CIPHER_CTX_new();
  const bool set =
      cipher_ != nullptr && expand(suite_->hash, secret, "key", {key.data(), suite_->key_bytes}) &&
      expand(suite_->hash, secret, "iv", iv_) &&
      EVP_CipherInit_ex2(cipher_, suite_->cipher, key.data(), iv_.data(), use_ == Use::kSeal ? 1 : 0, nullptr) == 1;
  wipe(key.data(), key.size());
  records_ = 0;
  return set;
}

// RFC 8446, 5.3: the IV, with the record's number in its last eight bytes.
std::array<unsigned char, 12> TrafficKey::next_nonce() noexcept {
  std::array<unsigned char, 12> nonce = iv_;
  for (unsigned i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<unsigned char>(records_ >> (8 * i));
  ++records_;
  return nonce;
}

bool TrafficKey::seal(std::string_view content, unsigned char type, char* record) noexcept {
  const std::size_t size = content.size() + 1 + kTagBytes;
  record[0] = static_cast<char>(kRecordType);
  record[1] = record[2] = 3;
  record[3] = static_cast<char>(size >> 8);
  record[4] = static_cast<char>(size);
  unsigned char* const into = bytes(record) + kHeaderBytes;
  const auto nonce = next_nonce();
  int n = 0;
  return EVP_CipherInit_ex2(cipher_, nullptr, nullptr, nonce.data(), -1, nullptr) == 1 &&
         EVP_EncryptUpdate(cipher_, nullptr, &n, bytes(record), kHeaderBytes) == 1 &&
         EVP_EncryptUpdate(cipher_, into, &n, bytes(content.data()), static_cast<int>(content.size())) == 1 &&
         EVP_EncryptUpdate(cipher_, into + content.size(), &n, &type, 1) == 1 &&
         EVP_EncryptFinal_ex(cipher_, into + content.size() + 1, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher_, EVP_CTRL_AEAD_GET_TAG, kTagBytes, into + content.size() + 1) == 1;
}

bool TrafficKey::open(const char* record, std::size_t size_bytes, char* into) noexcept {
  const std::size_t content_bytes = size_bytes - kTagBytes;
  const unsigned char* const from = bytes(record) + kHeaderBytes;
  std::array<unsigned char, kTagBytes> tag;
  std::copy_n(from + content_bytes, kTagBytes, tag.begin());
  const auto nonce = next_nonce();
  int n = 0;
  return EVP_CipherInit_ex2(cipher_, nullptr, nullptr, nonce.data(), -1, nullptr) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher_, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
         EVP_DecryptUpdate(cipher_, nullptr, &n, bytes(record), kHeaderBytes) == 1 &&
         EVP_DecryptUpdate(cipher_, bytes(into), &n, from, static_cast<int>(content_bytes)) == 1 &&
         EVP_DecryptFinal_ex(cipher_, bytes(into) + n, &n) == 1;
}

}  // namespace sluice::net
