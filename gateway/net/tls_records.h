// TLS 1.3 records (RFC 8446, 5) of a connection whose handshake OpenSSL has finished.
//
//   23 | 03 03 | length | AEAD( content | its type | zeros ) | tag
//   1      2       2                          1                 16     bytes; length counts all behind itself
//
// An SSL object keeps 14 KiB for as long as its connection lives, nearly all of it of use to the handshake alone.
// Records need two keys and two counters. So OpenSSL speaks the handshake, chooses, checks and signs; it says the two
// traffic secrets, as it does for a key log; its AEADs protect the records; and the SSL object goes. rustls and OpenSSL
// itself hand the same secrets to a kernel that knows TLS (kTLS), which cannot be relied on to be there.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/traffic_key.h"
#include "net/turn.h"

namespace sluice::net {

// Both directions of a connection, at the server's end. It has no socket: the owner moves the bytes.
// Thread:   one at a time.
// Lifetime: begins with the handshake, to gather what it says; outlives the SSL object that it was given to.
class TlsRecords final {
 public:
  static constexpr std::size_t kHeaderBytes = TrafficKey::kHeaderBytes;
  static constexpr std::size_t kMaxContentBytes = 16 * 1024;
  static constexpr std::size_t kMaxProtectedBytes = kMaxContentBytes + 256;
  // Records in a row that carry no application data: what no client needs, and what would keep a worker busy for ever.
  static constexpr unsigned kMaxIdleRecords = 32;
  // KeyUpdates that one peer may send in a row, and how long one more takes to earn: it derives a key, 10 µs of a worker,
  // from 27 bytes, and no key is worn for hours (RFC 8446, 4.6.3 and 5.5). As many cost a turn what kUpdateRecords cost.
  static constexpr unsigned kMostMessages = 32;
  static constexpr std::chrono::milliseconds kMessageInterval{1'000};
  static constexpr std::size_t kUpdateRecords = 16;
  // AES-GCM keeps its promises for 2^24.5 records of full size (RFC 8446, 5.5).
  static constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 24;

  explicit TlsRecords(std::uint64_t records_per_key = kRecordsPerKey) noexcept : records_per_key_(records_per_key) {}
  ~TlsRecords();
  TlsRecords(const TlsRecords&) = delete;
  TlsRecords& operator=(const TlsRecords&) = delete;

  // --- while OpenSSL speaks ---

  // Lets `ssl` say its secrets to this. Its context must have on_key_log as its key log callback.
  void listen_to(SSL* ssl) noexcept;
  static void on_key_log(const SSL* ssl, const char* line) noexcept;
  // OpenSSL has put `bytes` on the wire: counts the records under the new key.
  void count_written(std::string_view bytes) noexcept;
  // The handshake is over: from here on this speaks. False: TLS 1.2, or a suite that this does not know; OpenSSL goes
  // on.
  [[nodiscard]] bool take_over(SSL* ssl);
  // The same with what is known: the secrets of the client's and of the server's direction, and how many records the
  // server has written under its own.
  [[nodiscard]] bool start(std::uint16_t suite, std::span<const unsigned char> client_secret,
                           std::span<const unsigned char> server_secret, std::uint64_t written);
  [[nodiscard]] bool speaks() const noexcept { return speaks_; }

  // --- bytes from the socket ---

  // Where they go: never empty. What lies there after received() belongs to this.
  [[nodiscard]] std::span<char> room();
  void received(std::size_t size_bytes) noexcept { end_ += static_cast<std::uint32_t>(size_bytes); }
  // Nothing was received: frees the room where nothing else lies in it.
  void give_up_room() noexcept { consume(0); }
  // For OpenSSL: at most `size_bytes` of what was received. 0: there is nothing.
  std::size_t take_raw(char* into, std::size_t size_bytes) noexcept;
  [[nodiscard]] bool has_raw() const noexcept { return begin_ != end_; }

  // --- content; REQUIRES: speaks() ---

  // Opens what was received, as much as there is, `into` takes and `turn` allows. 0: the peer said close_notify.
  // kWouldBlock: not a whole record is there, or the turn is spent. kClosed: the connection is broken, by the peer's
  // alert, or by its records; then an alert that says why lies in unsent(). os_code is the alert's number.
  Result<std::size_t> read(std::span<char> into, Turn& turn) noexcept;
  // The next read() has something to give without more from the socket.
  [[nodiscard]] bool can_read() const noexcept;

  // Puts a record of the first bytes of `content` into unsent(), and returns how many of them. REQUIRES: unsent() is
  // empty. 0: the AEAD failed; nothing can be written any more.
  std::size_t seal(std::string_view content) noexcept;
  // Puts close_notify there. REQUIRES: unsent() is empty.
  void seal_goodbye() noexcept;
  [[nodiscard]] std::string_view unsent() const noexcept { return unsent_.view(); }
  void sent(std::size_t size_bytes) noexcept;

 private:
  enum class Alert : unsigned char {  // RFC 8446, 6
    kCloseNotify = 0,
    kUnexpectedMessage = 10,
    kBadRecordMac = 20,
    kRecordOverflow = 22,
    kIllegalParameter = 47,
    kDecodeError = 50,
    kInternalError = 80,
    kUserCanceled = 90,
  };
  struct Secret {
    std::array<unsigned char, 48> bytes{};
    std::size_t size_bytes = 0;
  };

  Result<std::size_t> open_record(std::span<char> into, Turn& turn) noexcept;
  std::size_t give_opened(std::span<char> into) noexcept;
  Status take_message(unsigned char type, std::string_view content, Turn& turn) noexcept;
  Status take_handshake(std::string_view content, Turn& turn) noexcept;
  Status take_alert(std::string_view content) noexcept;
  Error fail(Alert alert, const char* what) noexcept;
  bool put(unsigned char type, std::string_view content) noexcept;
  void consume(std::size_t size_bytes) noexcept;

  const std::uint64_t records_per_key_;
  TrafficKey reading_, writing_;
  std::unique_ptr<std::array<Secret, 2>> secrets_;    // the client's and the server's, until take_over()
  std::uint64_t written_ = 0;                         // records that OpenSSL wrote under the server's
  std::array<unsigned char, kHeaderBytes> header_{};  // of the record that it is writing
  std::uint8_t header_has_ = 0;
  std::uint16_t body_left_ = 0;

  // What was received: content of a record that is open in its place, what is done with of it, records.
  char* block_ = nullptr;
  std::uint32_t begin_ = 0, end_ = 0, opened_ = 0, shut_ = 0;
  Buffer unsent_;
  std::optional<Error> broken_;
  std::array<char, 5> message_{};  // a KeyUpdate, which may come in pieces
  std::uint8_t message_has_ = 0;
  Allowance updates_{kMostMessages, kMessageInterval};
  std::uint8_t idle_records_ = 0;
  bool speaks_ = false;
  bool ended_ = false;        // by close_notify
  bool update_owed_ = false;  // the peer asked for a new key of ours
};

}  // namespace sluice::net
