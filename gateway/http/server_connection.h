// One HTTP/1.1 connection as the server sees it: head, body, answer, and again.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/held_bytes.h"
#include "base/result.h"
#include "http/call.h"
#include "http/request_head.h"
#include "net/stream.h"

namespace sluice::http {

// Bounds of one connection; each is a conf key.
struct ConnectionLimits {
  std::size_t head_bytes = 32 * 1024;
  std::size_t read_ahead_bytes = 64 * 1024;     // read beyond the running call, to see that the client left
  std::chrono::milliseconds head_time{10'000};  // first byte of a head to its end
  std::chrono::milliseconds idle_time{75'000};  // between requests
  std::chrono::milliseconds body_gap{30'000};   // between two reads of a body
  std::chrono::milliseconds write_gap{60'000};  // a client that takes nothing for so long is gone
  HeldBytes* held = nullptr;                    // counts heads, and what was read ahead; null: nobody does
};

// Thread:   owning worker only.
// Lifetime: no coroutine may be inside at destruction.
// Cancel:   stream().close().
class ServerConnection final {
 public:
  ServerConnection(std::unique_ptr<net::Stream> stream, const ConnectionLimits& limits);
  ~ServerConnection();

  // Waits for the next head; drains what the last request left of its body first, a small rest only. Errors:
  // kClosed: the client ended or idled out, nothing to answer. kBadRequest, kHeadTooLarge, kTimeout, kOverloaded: answer
  // and close.
  Task<Result<const RequestHead*>> read_head();

  // Reads the whole body of the current request behind what `into` holds; sends "100 Continue" first if the client
  // waits for it. `reserve` is asked before the buffer grows by so many bytes. The body is whole before `until`, however
  // its client trickles. Errors: kTooLarge, kOverloaded (reserve said no), kBadRequest, kTimeout, kClosed.
  class Reserve {
   public:
    virtual ~Reserve() = default;
    virtual bool grow(std::size_t more_bytes) noexcept = 0;
  };
  Task<Status> read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve,
                         net::Deadline until = net::Deadline::never());

  // A whole answer: adds Content-Length, Date, Connection. A body that was not read closes the connection afterwards,
  // with a short lingering read so that the client gets the answer rather than a reset.
  Task<Status> respond(unsigned status, std::span<const Header> headers, std::string_view body);

  // An answer of unknown length. The head is put into out() and leaves with the first flush().
  void begin(unsigned status, std::span<const Header> headers);
  // Puts `bytes` into the current chunk; nothing is sent before flush().
  void append(std::string_view bytes);
  // The same for who writes in place: what is appended to the buffer is part of the chunk. Valid until the next call.
  // REQUIRES: not the answer to a HEAD request.
  [[nodiscard]] Buffer& chunk();
  [[nodiscard]] std::size_t pending_bytes() const noexcept;
  // Sends everything pending as one chunk (HTTP/1.1) or as it is (HTTP/1.0, ended by close), in one write where it
  // fits.
  Task<Status> flush();
  // The same with the terminating chunk behind it.
  Task<Status> finish();

  // While a call runs: `wake` is notified when there is something to see of the client, and gone() then looks: it reads
  // ahead what came, at most read_ahead_bytes, and tells whether the client ended its side. Null ends the watch.
  void watch_client(net::Signal* wake) noexcept;
  [[nodiscard]] bool gone() noexcept;

  // No further request is read after the current one: answers carry "Connection: close".
  void close_after_answer() noexcept;
  [[nodiscard]] bool keeps_alive() const noexcept;

  [[nodiscard]] net::Stream& stream() noexcept;
  [[nodiscard]] std::chrono::milliseconds head_time() const noexcept;  // as the limits say
  [[nodiscard]] std::uint64_t bytes_in() const noexcept;               // plaintext, of the current request
  [[nodiscard]] std::uint64_t bytes_out() const noexcept;              // plaintext, of the current answer

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
