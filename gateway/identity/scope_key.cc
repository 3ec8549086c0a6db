#include "identity/scope_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "identity/secret_file.h"

namespace sluice::identity {

ScopeKey::ScopeKey() noexcept {
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) std::abort();
}

ScopeKey::~ScopeKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

absl::StatusOr<ScopeKey> ScopeKey::open(const std::string& state_dir) {
  using Bytes = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;
  const std::string path = state_dir + "/scope.key";
  const auto kept = read_secret_file<Bytes>(path, 077);
  if (!kept.ok()) return kept.status();
  ScopeKey key;
  if (kept->has_value()) {
    if ((*kept)->size() != key.key_.size())
      return absl::FailedPreconditionError(path + " does not hold 32 bytes; restore it, or remove it for a new one");
    std::memcpy(key.key_.data(), (*kept)->data(), key.key_.size());
    return key;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(key.key_.data()), key.key_.size());
  if (absl::Status written = write_secret_file(path, bytes, 0600); !written.ok()) return written;
  return key;
}

std::string_view ScopeKey::scoped(std::uint64_t tenant_id, std::uint64_t user_id, std::string_view name,
                                  std::span<char, kDigits> into) const noexcept {
  constexpr char kHex[] = "0123456789abcdef";
  Buffer text;
  text.append({reinterpret_cast<const char*>(&tenant_id), sizeof tenant_id});
  text.append({reinterpret_cast<const char*>(&user_id), sizeof user_id});
  text.append(name);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> mac{};
  unsigned size = 0;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), bytes, text.size(), mac.data(), &size) == nullptr)
    std::abort();  // out of memory
  for (std::size_t i = 0; i < kDigits / 2; ++i) {
    into[2 * i] = kHex[mac[i] >> 4];
    into[2 * i + 1] = kHex[mac[i] & 15];
  }
  return {into.data(), into.size()};
}

}  // namespace sluice::identity
