// Reads a small answer to its end: a list of models, a control message.
#pragma once

#include "http/call.h"
#include "net/deadline.h"

namespace sluice::http {

// Waits until the answer is whole; it then stands in call.body(), whatever its status. `wake` is the call's own signal.
// `deadline` may be moved meanwhile, by whoever notifies `wake` behind it. Errors: the call's own; kTimeout;
// kProtocol: more than `limit_bytes`.
[[nodiscard]] Task<Status> read_answer(OutgoingCall& call, net::Signal& wake, const net::Deadline& deadline,
                                       std::size_t limit_bytes);

}  // namespace sluice::http
