#include "http/read_answer.h"

#include <utility>

namespace sluice::http {

Task<Status> read_answer(OutgoingCall& call, net::Signal& wake, const net::Deadline& deadline,
                         std::size_t limit_bytes) {
  std::size_t credited = 0;
  for (;;) {
    // The answer may be longer than what its sender may send without credit.
    const std::size_t arrived = call.body().size();
    call.taken(arrived - std::exchange(credited, arrived));
    if (call.state() == CallState::kFailed) co_return call.error();
    if (arrived > limit_bytes)
      co_return upstream_error(ErrorKind::kProtocol, "the answer is larger than is read of it");
    if (call.state() == CallState::kEnded) co_return ok();
    if (deadline.passed()) co_return upstream_error(ErrorKind::kTimeout, "the answer did not come in time");
    (void)co_await wake.wait(deadline);
  }
}

}  // namespace sluice::http
