// Reads large request bodies beside the workers. One walk over a body cannot be cut into turns, and over 32 MiB it takes
// up to a third of a second, in which nobody else's call on the worker would go on.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "base/task.h"
#include "dialect/dialect.h"
#include "net/loop.h"
#include "net/signal.h"
#include "wire/parser.h"

namespace sluice::proxy {

// From here on a body is large. Below, the worst one is read in two milliseconds.
inline constexpr std::size_t kLargeBodyBytes = 256 * 1024;

// A thread with a parser of its own, which takes one body after the other.
// Thread:   read() on any worker's; made and destroyed on one.
// Lifetime: outlives every read().
class LargeBodies final {
 public:
  LargeBodies() : thread_([this] { work_off(); }) {}
  ~LargeBodies();
  LargeBodies(const LargeBodies&) = delete;
  LargeBodies& operator=(const LargeBodies&) = delete;

  // What dialect.read_call() gives, asked for on `loop`. REQUIRES: the body stays as it is until then, padded.
  Task<Result<dialect::CallBody>> read(net::Loop& loop, const dialect::Dialect& dialect,
                                       const dialect::Endpoint& endpoint, std::string_view body);

 private:
  struct Job;  // lives in its read()
  void work_off();

  wire::Parser parser_;  // the thread's own
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> jobs_;  // as many as there may be bodies: [http] buffered_limit bounds them
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace sluice::proxy
