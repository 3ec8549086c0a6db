// Reads and translates large request bodies beside the workers. One walk over a body cannot be cut into turns, and over 32 MiB it takes
// up to a third of a second, in which nobody else's call on the worker would go on.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "dialect/dialect.h"
#include "net/signal.h"
#include "wire/parser.h"

namespace sluice::proxy {

// From here on a body is large. Below, the worst one is read in two milliseconds.
inline constexpr std::size_t kLargeBodyBytes = 256 * 1024;

// A thread with a parser of its own, which takes one body after the other.
// Thread:   add() and withdraw() on any worker's; made and destroyed on one.
// Lifetime: outlives every job.
class LargeBodies final {
 public:
  LargeBodies() : thread_([this] { work_off(); }) {}
  ~LargeBodies();
  LargeBodies(const LargeBodies&) = delete;
  LargeBodies& operator=(const LargeBodies&) = delete;

  // What is done with a body. Its result is there once `wake` was notified and `over` is true.
  // Thread:   work() runs on this object's thread; between add() and its end nobody else looks at what it uses.
  // Lifetime: from add() until it is over, or was withdrawn.
  struct Job {
    explicit Job(net::Signal& wake_) noexcept : wake(wake_) {}
    virtual ~Job() = default;
    virtual void work(wire::Parser& parser) noexcept = 0;
    net::Signal& wake;
    bool over = false;
  };
  // A body to be read: what dialect.read_call() gives.
  // Lifetime: the body stays as it is until then, padded.
  struct Reading final : Job {
    Reading(net::Signal& wake_, const dialect::Dialect& dialect_, const dialect::Endpoint& endpoint_,
            std::string_view body_) noexcept
        : Job(wake_), dialect(dialect_), endpoint(endpoint_), body(body_) {}
    void work(wire::Parser& parser) noexcept override { result = dialect.read_call(endpoint, body, parser); }

    const dialect::Dialect& dialect;
    const dialect::Endpoint& endpoint;
    std::string_view body;
    std::optional<Result<dialect::CallBody>> result{};
  };
  void add(Job& job);
  // Nobody wants it any more. False: it is being read, or was; it will be over soon.
  [[nodiscard]] bool withdraw(Job& job) noexcept;

 private:
  void work_off();

  wire::Parser parser_;  // the thread's own
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> jobs_;  // as many as there may be bodies: [http] buffered_limit bounds them
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace sluice::proxy
