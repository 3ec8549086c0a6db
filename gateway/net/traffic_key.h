// The keys of TLS 1.3 (RFC 8446, 5.2 and 7.3): what one direction's records are protected with.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::net {

// One direction's key, and how many records it has protected. A record is
// 23 | 03 03 | length | AEAD( content | its type | zeros ) | tag, and its five header bytes are authentic too.
// Thread:   one at a time.
// Lifetime: wipes secret and IV at its end.
class TrafficKey final {
 public:
  static constexpr unsigned char kRecordType = 23;  // application_data, whatever is inside
  static constexpr std::size_t kHeaderBytes = 5;
  static constexpr std::size_t kTagBytes = 16;
  enum class Use : std::uint8_t { kSeal, kOpen };

  ~TrafficKey();
  TrafficKey() = default;
  TrafficKey(const TrafficKey&) = delete;
  TrafficKey& operator=(const TrafficKey&) = delete;

  // `secret` of a traffic direction, `suite` as TLS numbers it, `records` protected with it so far. False: not a suite
  // of ours, a secret of another length, or no memory.
  [[nodiscard]] bool start(Use use, std::uint16_t suite, std::span<const unsigned char> secret, std::uint64_t records);
  // The next secret of the same direction (RFC 8446, 7.2).
  [[nodiscard]] bool update();
  [[nodiscard]] std::uint64_t records() const noexcept { return records_; }

  // Protects `content` and behind it its `type`. `record` has room for its five header bytes, which are written first,
  // and content.size() + 1 + kTagBytes. False: the AEAD failed, which it does not do.
  [[nodiscard]] bool seal(std::string_view content, unsigned char type, char* record) noexcept;
  // Opens the record of `size_bytes` protected bytes that begins with its header, into `into`, which may be the place
  // behind the header. False: not authentic; `into` holds nothing that may be looked at.
  [[nodiscard]] bool open(const char* record, std::size_t size_bytes, char* into) noexcept;

 private:
  struct Suite;
  static const Suite* find(std::uint16_t number) noexcept;
  [[nodiscard]] bool set_key();
  [[nodiscard]] std::array<unsigned char, 12> next_nonce() noexcept;

  const Suite* suite_ = nullptr;
  EVP_CIPHER_CTX* cipher_ = nullptr;
  std::uint64_t records_ = 0;
  Use use_ = Use::kSeal;
  std::array<unsigned char, 12> iv_{};
  std::array<unsigned char, 48> secret_{};
};

}  // namespace sluice::net
