// One HTTP/1.1 connection as the server sees it: head, body, answer, and again.
//
//   server_connection.cc  heads, and the watch over the client
//   server_body.cc        bodies
//   server_answer.cc      answers
#pragma once

#include <memory>

#include "http/incoming.h"
#include "net/stream.h"

namespace sluice::http::h1 {

// Thread:   owning worker only.
// Lifetime: no coroutine may be inside at destruction.
// Cancel:   stream().close().
class ServerConnection final : public Incoming {
 public:
  ServerConnection(std::unique_ptr<net::Stream> stream, const ConnectionLimits& limits);
  ~ServerConnection() override;

  // Waits for the next head; drains what the last request left of its body first, a small rest only. Errors:
  // kClosed: the client ended or idled out, nothing to answer. kBadRequest, kHeadTooLarge, kTimeout, kOverloaded: answer
  // and close.
  Task<Result<const RequestHead*>> read_head();

  // REQUIRES: read_head() gave one. Valid until it is called again.
  [[nodiscard]] const RequestHead& head() const noexcept override;

  // Sends "100 Continue" first if the client waits for it.
  Task<Status> read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline until) override;

  // Adds Content-Length, Date, Connection. A body that was not read closes the connection afterwards, with a short
  // lingering read so that the client gets the answer rather than a reset.
  Task<Status> respond(unsigned status, std::span<const Header> headers, std::string_view body) override;

  void begin(unsigned status, std::span<const Header> headers) override;
  void append(std::string_view bytes) override;
  [[nodiscard]] Buffer& chunk() override;
  [[nodiscard]] std::size_t pending_bytes() const noexcept override;
  // Everything pending goes as one chunk (HTTP/1.1) or as it is (HTTP/1.0, ended by close), in one write where it fits.
  Task<Status> flush() override;
  // The same with the terminating chunk behind it.
  Task<Status> finish() override;
  // A reset of the connection.
  void abort() noexcept override;

  void watch_client(net::Signal* wake) noexcept override;
  // Reads ahead what came, at most read_ahead_bytes, and tells whether the client ended its side.
  [[nodiscard]] bool gone() noexcept override;

  // No further request is read after the current one: answers carry "Connection: close".
  void close_after_answer() noexcept override;
  [[nodiscard]] bool keeps_alive() const noexcept;

  [[nodiscard]] net::Stream& stream() noexcept;
  [[nodiscard]] std::chrono::milliseconds head_time() const noexcept override;
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override;
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http::h1
