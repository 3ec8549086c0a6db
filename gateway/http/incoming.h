// One HTTP request coming in and its answer going out, whatever carries it: an HTTP/1.1 connection or an HTTP/2 stream of
// a tunnel. The twin of call.h. Who answers owns the pace: it puts bytes into the answer, sends them, and sleeps on its
// own signal meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/held_bytes.h"
#include "base/task.h"
#include "http/call.h"
#include "http/request_head.h"
#include "net/deadline.h"

namespace sluice::http {

// Bounds of one connection that requests come in by; each is a conf key.
struct ConnectionLimits {
  std::size_t head_bytes = 32 * 1024;
  std::size_t read_ahead_bytes = 64 * 1024;     // read beyond the running call, to see that the client left
  std::chrono::milliseconds head_time{10'000};  // first byte of a head to its end
  std::chrono::milliseconds idle_time{75'000};  // between requests
  std::chrono::milliseconds body_gap{30'000};   // between two reads of a body
  std::chrono::milliseconds write_gap{60'000};  // a client that takes nothing for so long is gone
  HeldBytes* held = nullptr;                    // counts heads, and what was read ahead; null: nobody does
};

// Thread:   the worker that its carrier lives on.
// Lifetime: the carrier says; no coroutine may be inside at destruction.
// Cancel:   abort(), or the carrier's end: the call under way returns kClosed.
class Incoming {
 public:
  virtual ~Incoming() = default;

  // What it asks for. Views into what the carrier keeps until the answer is over.
  [[nodiscard]] virtual const RequestHead& head() const noexcept = 0;

  class Reserve {
   public:
    virtual ~Reserve() = default;
    virtual bool grow(std::size_t more_bytes) noexcept = 0;
  };
  // Reads the whole body behind what `into` holds. `reserve` is asked before the buffer grows by so many bytes. The body
  // is whole before `until`, however its client trickles. Errors: kTooLarge, kOverloaded (reserve said no), kBadRequest,
  // kTimeout, kClosed.
  virtual Task<Status> read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline until) = 0;

  // A whole answer: the carrier adds its length and what else it needs.
  virtual Task<Status> respond(unsigned status, std::span<const Header> headers, std::string_view body) = 0;

  // An answer of unknown length. The head leaves with the first flush() at the latest.
  virtual void begin(unsigned status, std::span<const Header> headers) = 0;
  // Puts `bytes` into the body; they need not leave before flush().
  virtual void append(std::string_view bytes) = 0;
  // The same for who writes in place: what is appended to the buffer is part of the body. Valid until the next call.
  // REQUIRES: not the answer to a HEAD request.
  [[nodiscard]] virtual Buffer& chunk() = 0;
  [[nodiscard]] virtual std::size_t pending_bytes() const noexcept = 0;
  // Sends what is pending, or returns once the carrier takes more. Error: kClosed.
  virtual Task<Status> flush() = 0;
  // The same, and the answer is whole.
  virtual Task<Status> finish() = 0;
  // Breaks the answer off, so that the client sees that it is not whole.
  virtual void abort() noexcept = 0;

  // While a call runs: `wake` is notified when there is something to see of the client, and gone() then looks whether it
  // has left. Null ends the watch.
  virtual void watch_client(net::Signal* wake) noexcept = 0;
  [[nodiscard]] virtual bool gone() noexcept = 0;

  // The client is told to send its next request on another connection.
  virtual void close_after_answer() noexcept = 0;

  // How long a head may take to come, as the limits say; right for a body that is as small, too.
  [[nodiscard]] virtual std::chrono::milliseconds head_time() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t bytes_in() const noexcept = 0;   // plaintext, of this request so far
  [[nodiscard]] virtual std::uint64_t bytes_out() const noexcept = 0;  // plaintext, of its answer so far
};

}  // namespace sluice::http
