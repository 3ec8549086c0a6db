// What the three parts of a ServerConnection share. Internal.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/held_bytes.h"
#include "http/h1/chunk_decoder.h"
#include "http/h1/head.h"
#include "http/h1/request_check.h"
#include "http/h1/server_connection.h"

namespace sluice::http::h1 {

inline constexpr std::size_t kReadBytes = 16u << 10;       // one TLS record
inline constexpr std::size_t kSmallRestBytes = 64u << 10;  // of an unread body: cheaper to read than to reconnect

inline constexpr Error kGone = {
    ErrorKind::kClosed, Origin::kClient, Retry::kNo, 0, 0, "the client closed the connection"};
inline constexpr Error kSlow = {
    ErrorKind::kTimeout, Origin::kClient, Retry::kNo, 0, 0, "the request did not arrive in time"};

constexpr Error bad_request(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

// Shared by all connections of a worker: filled and emptied between two awaits.
inline std::array<char, kReadBytes>& scratch() noexcept {
  thread_local std::array<char, kReadBytes> bytes;
  return bytes;
}

struct ServerConnection::State {
  State(std::unique_ptr<net::Stream> stream_, const ConnectionLimits& limits_)
      : stream(std::move(stream_)), limits(limits_), holding(limits_.held) {}

  std::unique_ptr<net::Stream> stream;
  ConnectionLimits limits;
  HeadScan scan;
  ChunkDecoder chunks;
  Head head;                        // from a whole head to the next read_head()
  Buffer head_bytes;                // what `head` points into
  Buffer in;                        // read and not yet used
  Holding holding;                  // of head_bytes and in
  Buffer out;                       // of the answer, not yet sent
  std::size_t chunk_at = kNoChunk;  // where the open chunk's frame stands in `out`
  std::uint64_t body_left = 0;      // of a known length, not read
  std::size_t empty_bytes = 0;      // of empty lines before the head
  std::uint64_t bytes_in = 0, bytes_out = 0;
  bool head_only = false;  // a HEAD request: its answer has no body
  bool keep_alive = true;
  bool body_unread = false;  // a body is announced and was not read to its end
  bool continue_due = false;
  bool chunked_answer = false;
  bool gone = false;

  static constexpr std::size_t kNoChunk = ~std::size_t{0};

  [[nodiscard]] bool count_held() noexcept { return holding.set(head_bytes.size() + in.size()); }
  Task<Result<std::size_t>> fill(net::Deadline deadline);
  Result<bool> parse_head();
  Status take_head(std::string_view bytes);
  Task<Status> drop_rest();
  Task<Result<std::size_t>> read_part(std::span<char> space, net::Deadline until);
  Task<Status> read_known(Buffer& into, Reserve& reserve, net::Deadline until);
  Task<Status> read_chunked(Buffer& into, std::size_t limit, Reserve& reserve, net::Deadline until);
  Task<Status> write_all(std::string_view bytes);
  Task<Status> write_out();
  Task<void> linger();
  void put_head(unsigned status, std::span<const Header> headers);
  void close_chunk() noexcept;
  [[nodiscard]] bool chunk_is_empty() const noexcept;
  void drop_chunk() noexcept;
  void settle_reuse() noexcept;
};

}  // namespace sluice::http::h1
