// Decodes, reads and translates large request bodies beside the workers. One walk over a body cannot be cut into turns,
// and over 32 MiB it takes up to a third of a second, in which nobody else's call on the worker would go on.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "dialect/dialect.h"
#include "net/signal.h"
#include "wire/body_decoder.h"
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

  // What is to be done with a body. It is done once `wake` was notified and over() is true.
  // Thread:   the worker that `wake` is on, but not between add() and then; work() on the thread of bodies.
  // Lifetime: from add() until it is over, or was withdrawn; what it works on stays as it is until then.
  class Job {
   public:
    explicit Job(net::Signal& wake) noexcept : wake_(wake) {}
    virtual ~Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    [[nodiscard]] bool over() const noexcept { return over_; }
    [[nodiscard]] net::Signal& wake() noexcept { return wake_; }
    virtual void work(wire::Parser& parser) noexcept = 0;

   private:
    friend class LargeBodies;

    net::Signal& wake_;
    bool over_ = false;
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

// Reads a body, which is padded. result(): what dialect.read() gave. REQUIRES of it: over().
class ReadJob final : public LargeBodies::Job {
 public:
  ReadJob(net::Signal& wake, const dialect::Dialect& dialect, const dialect::Endpoint& endpoint,
          std::string_view content_type, std::string_view body) noexcept
      : Job(wake), dialect_(dialect), endpoint_(endpoint), content_type_(content_type), body_(body) {}
  [[nodiscard]] Result<dialect::CallBody>& result() noexcept { return *result_; }

 private:
  void work(wire::Parser& parser) noexcept override;

  const dialect::Dialect& dialect_;
  const dialect::Endpoint& endpoint_;
  std::string_view content_type_;
  std::string_view body_;
  std::optional<Result<dialect::CallBody>> result_;
};

// Decodes what is left of a compressed body into `out`. result(): whether that was all of a good one. REQUIRES of it:
// over().
class DecodeJob final : public LargeBodies::Job {
 public:
  DecodeJob(net::Signal& wake, wire::BodyDecoder& decoder, Buffer& out) noexcept
      : Job(wake), decoder_(decoder), out_(out) {}
  [[nodiscard]] Status result() const noexcept { return result_; }

 private:
  void work(wire::Parser& parser) noexcept override;

  wire::BodyDecoder& decoder_;
  Buffer& out_;
  Status result_ = ok();
};

}  // namespace sluice::proxy
