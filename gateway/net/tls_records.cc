#include "net/tls_records.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/blocks.h"

namespace sluice::net {
namespace {

constexpr unsigned char kAlertType = 21, kHandshakeType = 22, kApplicationDataType = 23;
constexpr std::size_t kBlockBytes = 5 * 4096;  // takes a whole record, and is a size that base/blocks.h keeps
constexpr std::size_t kMaxRecordBytes = TlsRecords::kHeaderBytes + TlsRecords::kMaxProtectedBytes;
static_assert(kMaxRecordBytes < kBlockBytes);

constexpr Error kNothingYet = self_error(ErrorKind::kWouldBlock, "not a whole TLS record");

std::size_t length_at(const char* two) noexcept {
  return static_cast<std::size_t>(static_cast<unsigned char>(two[0])) << 8 | static_cast<unsigned char>(two[1]);
}

}  // namespace

// --- while OpenSSL speaks --------------------------------------------------------------------------------------------

TlsRecords::~TlsRecords() {
  if (secrets_) wipe(secrets_.get(), sizeof *secrets_);
  consume(end_ - begin_);
}

void TlsRecords::listen_to(SSL* ssl) noexcept { SSL_set_app_data(ssl, this); }

// "LABEL client_random secret", the last two in hexadecimal.
void TlsRecords::on_key_log(const SSL* ssl, const char* line) noexcept {
  auto* const records = static_cast<TlsRecords*>(SSL_get_app_data(ssl));
  const std::string_view text(line);
  const bool client = text.starts_with("CLIENT_TRAFFIC_SECRET_0 ");
  if (records == nullptr || (!client && !text.starts_with("SERVER_TRAFFIC_SECRET_0 "))) return;
  if (!records->secrets_) records->secrets_ = std::make_unique<std::array<Secret, 2>>();
  Secret& secret = (*records->secrets_)[client ? 0 : 1];
  const std::string_view digits = text.substr(text.rfind(' ') + 1);
  if (digits.size() % 2 != 0 || digits.size() / 2 > secret.bytes.size()) return;
  const auto value = [](char digit) { return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10; };
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    secret.bytes[i / 2] = static_cast<unsigned char>(value(digits[i]) << 4 | value(digits[i + 1]));
  }
  secret.size_bytes = digits.size() / 2;
}

void TlsRecords::count_written(std::string_view written) noexcept {
  while (!written.empty()) {
    const std::size_t body = std::min<std::size_t>(body_left_, written.size());
    body_left_ = static_cast<std::uint16_t>(body_left_ - body);
    written.remove_prefix(body);
    if (written.empty()) return;
    header_[header_has_++] = static_cast<unsigned char>(written.front());
    written.remove_prefix(1);
    if (header_has_ < kHeaderBytes) continue;
    header_has_ = 0;
    body_left_ = static_cast<std::uint16_t>(header_[3] << 8 | header_[4]);
    // OpenSSL flushes its Finished before it makes the secret that protects what follows.
    if (secrets_ && (*secrets_)[1].size_bytes != 0) ++written_;
  }
}

bool TlsRecords::take_over(SSL* ssl) {
  if (!secrets_ || SSL_version(ssl) != TLS1_3_VERSION || SSL_has_pending(ssl) != 0) return false;
  const auto& [client, server] = *secrets_;
  const bool started =
      start(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)), {client.bytes.data(), client.size_bytes},
            {server.bytes.data(), server.size_bytes}, written_);
  wipe(secrets_.get(), sizeof *secrets_);
  secrets_.reset();
  return started;
}

bool TlsRecords::start(std::uint16_t suite, std::span<const unsigned char> client_secret,
                       std::span<const unsigned char> server_secret, std::uint64_t written) {
  speaks_ = reading_.start(TrafficKey::Use::kOpen, suite, client_secret, 0) &&
            writing_.start(TrafficKey::Use::kSeal, suite, server_secret, written);
  return speaks_;
}

// --- bytes from the socket -------------------------------------------------------------------------------------------

std::span<char> TlsRecords::room() {
  if (block_ == nullptr) block_ = static_cast<char*>(take_block(kBlockBytes));
  const std::uint32_t size = end_ - begin_;
  if (begin_ != 0 && kBlockBytes - begin_ < kMaxRecordBytes) {
    std::memmove(block_, block_ + begin_, size);
    wipe(block_ + size, begin_);
    begin_ = 0;
    end_ = size;
  }
  return {block_ + end_, kBlockBytes - end_};
}

// The block goes when it is empty: a connection that waits has none.
void TlsRecords::consume(std::size_t size_bytes) noexcept {
  begin_ += static_cast<std::uint32_t>(size_bytes);
  if (begin_ != end_ || block_ == nullptr) return;
  wipe(block_, end_);
  give_block(std::exchange(block_, nullptr), kBlockBytes);
  begin_ = end_ = 0;
}

std::size_t TlsRecords::take_raw(char* into, std::size_t size_bytes) noexcept {
  const std::size_t n = std::min<std::size_t>(size_bytes, end_ - begin_);
  if (n == 0) return 0;
  std::memcpy(into, block_ + begin_, n);
  consume(n);
  return n;
}

// --- content ---------------------------------------------------------------------------------------------------------

bool TlsRecords::can_read() const noexcept {
  if (opened_ != 0 || ended_ || broken_) return true;
  const std::size_t there = end_ - begin_;
  if (there < kHeaderBytes) return false;
  const std::size_t size = length_at(block_ + begin_ + 3);
  return size > kMaxProtectedBytes || there >= kHeaderBytes + size;
}

Result<std::size_t> TlsRecords::read(std::span<char> into, Turn& turn) noexcept {
  std::size_t got = 0;
  while (got < into.size() && !ended_) {
    const Result<std::size_t> n = opened_ != 0 ? give_opened(into.subspan(got)) : open_record(into.subspan(got), turn);
    if (!n && got == 0) return n.error();
    if (!n) break;
    got += *n;
  }
  return got;
}

// The part of a record's content that there was no room for.
std::size_t TlsRecords::give_opened(std::span<char> into) noexcept {
  const std::size_t n = std::min<std::size_t>(opened_, into.size());
  std::memcpy(into.data(), block_ + begin_, n);
  opened_ -= static_cast<std::uint32_t>(n);
  consume(n + (opened_ == 0 ? std::exchange(shut_, 0) : 0));
  return n;
}

// Opens the record at the front. Returns how much of `into` it filled; 0 where it was none of the application's, or
// where it lies opened in the block.
Result<std::size_t> TlsRecords::open_record(std::span<char> into, Turn& turn) noexcept {
  if (broken_) return *broken_;
  if (turn.spent()) return kNothingYet;
  const std::size_t there = end_ - begin_;
  if (there < kHeaderBytes) return kNothingYet;
  char* const record = block_ + begin_;
  const std::size_t size = length_at(record + 3);
  if (record[0] != static_cast<char>(TrafficKey::kRecordType))
    return fail(Alert::kUnexpectedMessage, "TLS record of a wrong type");
  if (size > kMaxProtectedBytes) return fail(Alert::kRecordOverflow, "TLS record too long");
  if (size <= TrafficKey::kTagBytes) return fail(Alert::kBadRecordMac, "TLS record too short");
  if (there < kHeaderBytes + size) return kNothingYet;

  turn.took_records(1);
  std::size_t n = size - TrafficKey::kTagBytes;
  const bool fits = n <= into.size();
  char* const content = fits ? into.data() : record + kHeaderBytes;
  if (!reading_.open(record, size, content)) return fail(Alert::kBadRecordMac, "TLS record not authentic");
  while (n != 0 && content[n - 1] == 0) --n;  // padding
  if (n == 0) return fail(Alert::kUnexpectedMessage, "TLS record without a type");
  const auto type = static_cast<unsigned char>(content[--n]);
  if (n > kMaxContentBytes) return fail(Alert::kRecordOverflow, "TLS record too long");
  if (message_has_ != 0 && type != kHandshakeType) return fail(Alert::kUnexpectedMessage, "TLS message not ended");

  if (type == kApplicationDataType && n != 0) {
    idle_records_ = 0;
    if (fits) {
      consume(kHeaderBytes + size);
      return n;
    }
    begin_ += kHeaderBytes;
    opened_ = static_cast<std::uint32_t>(n);
    shut_ = static_cast<std::uint32_t>(size - n);
    return std::size_t{0};
  }
  if (++idle_records_ > kMaxIdleRecords) return fail(Alert::kUnexpectedMessage, "too many TLS records without content");
  if (type != kApplicationDataType) SLUICE_TRY(take_message(type, {content, n}, turn));
  consume(kHeaderBytes + size);
  return std::size_t{0};
}

Status TlsRecords::take_message(unsigned char type, std::string_view content, Turn& turn) noexcept {
  if (content.empty()) return fail(Alert::kUnexpectedMessage, "empty TLS message");
  if (type == kAlertType) return take_alert(content);
  if (type == kHandshakeType) return take_handshake(content, turn);
  return fail(Alert::kUnexpectedMessage, "TLS record of a wrong type");
}

Status TlsRecords::take_alert(std::string_view content) noexcept {
  if (content.size() != 2) return fail(Alert::kDecodeError, "TLS alert of a wrong length");
  const auto alert = static_cast<Alert>(content[1]);
  if (alert == Alert::kCloseNotify) {
    ended_ = true;
  } else if (alert != Alert::kUserCanceled) {  // which a close_notify follows (RFC 8446, 6.1)
    return *(broken_ = self_error(ErrorKind::kClosed, "peer sent a TLS alert", static_cast<int>(alert)));
  }
  return ok();
}

// A client has one thing to say behind its handshake: KeyUpdate (RFC 8446, 4.6.3), which ends its record.
Status TlsRecords::take_handshake(std::string_view content, Turn& turn) noexcept {
  const std::size_t n = std::min(content.size(), message_.size() - message_has_);
  std::copy_n(content.begin(), n, message_.begin() + message_has_);
  message_has_ = static_cast<std::uint8_t>(message_has_ + n);
  constexpr std::string_view kHead("\x18\0\0\1", 4);  // KeyUpdate, with a body of one byte
  const std::string_view head(message_.data(), std::min<std::size_t>(message_has_, kHead.size()));
  if (message_[0] != kHead[0]) return fail(Alert::kUnexpectedMessage, "TLS message of a wrong type");
  if (!kHead.starts_with(head)) return fail(Alert::kDecodeError, "KeyUpdate of a wrong length");
  if (message_has_ < message_.size()) return ok();
  message_has_ = 0;
  const char requested = message_.back();
  if (requested != 0 && requested != 1) return fail(Alert::kIllegalParameter, "KeyUpdate of a wrong kind");
  if (n != content.size()) return fail(Alert::kUnexpectedMessage, "TLS message behind a KeyUpdate");
  if (!updates_.take(Mono::now())) return fail(Alert::kUnexpectedMessage, "too many KeyUpdates");
  turn.took_records(kUpdateRecords);
  if (!reading_.update()) return fail(Alert::kInternalError, "no key");
  // The answer goes with the next record of content, so that a peer that asks and asks is answered once.
  if (requested == 1) update_owed_ = true;
  return ok();
}

Error TlsRecords::fail(Alert alert, const char* what) noexcept {
  constexpr char kFatal = 2;
  const std::array<char, 2> content{kFatal, static_cast<char>(alert)};
  (void)put(kAlertType, {content.data(), content.size()});
  return *(broken_ = self_error(ErrorKind::kClosed, what, static_cast<int>(alert)));
}

std::size_t TlsRecords::seal(std::string_view content) noexcept {
  if (update_owed_ || writing_.records() >= records_per_key_) {
    constexpr std::string_view kUpdate("\x18\0\0\1\0", 5);
    if (!put(kHandshakeType, kUpdate) || !writing_.update()) return 0;
    update_owed_ = false;
  }
  content = content.substr(0, kMaxContentBytes);
  return put(kApplicationDataType, content) ? content.size() : 0;
}

void TlsRecords::seal_goodbye() noexcept {
  constexpr std::string_view kCloseNotify("\1\0", 2);
  (void)put(kAlertType, kCloseNotify);
}

bool TlsRecords::put(unsigned char type, std::string_view content) noexcept {
  const std::size_t size = kHeaderBytes + content.size() + 1 + TrafficKey::kTagBytes;
  if (!writing_.seal(content, type, unsent_.prepare(size).data())) return false;
  unsent_.commit(size);
  return true;
}

void TlsRecords::sent(std::size_t size_bytes) noexcept {
  unsent_.consume(size_bytes);
  if (unsent_.empty()) unsent_.release();
}

}  // namespace sluice::net
