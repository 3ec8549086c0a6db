#include "net/handshakes.h"

#include <utility>

#include "net/stream.h"

namespace sluice::net {
namespace {

constexpr std::chrono::milliseconds kTimePerTurn{1};

}  // namespace

// A peer that answers ends its handshake within a round trip: what has been under way for longest waits for one that
// does not.
Handshakes::Running::Running(Handshakes& all, Stream& stream) : all_(all) {
  if (all.running_.size() >= all.bounds_.running && !all.running_.empty()) {
    Stream* const first = all.running_.front();
    all.running_.splice(all.running_.end(), all.running_,
                        all.running_.begin());  // it leaves by itself, in a later turn
    first->close();
  }
  position_ = all.running_.insert(all.running_.end(), &stream);
}

void Handshakes::wait_here(std::coroutine_handle<> coroutine) {
  waiting_.push_back(coroutine);
  if (!std::exchange(posted_, true)) loop_.post([this] { run_some(); });
}

void Handshakes::run_some() {
  const MonoTime began = Mono::now();
  do {
    const std::coroutine_handle<> next = waiting_.front();
    waiting_.pop_front();
    next.resume();
  } while (!waiting_.empty() && Mono::now() - began < kTimePerTurn);
  posted_ = !waiting_.empty();
  if (posted_) loop_.post([this] { run_some(); });
}

}  // namespace sluice::net
