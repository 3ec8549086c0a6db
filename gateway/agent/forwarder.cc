#include "agent/forwarder.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace sluice::agent {
namespace {

tunnel::Reset reset_for(const Error& error) noexcept {
  if (error.kind == ErrorKind::kOverloaded) return tunnel::Reset::kOverloaded;
  return error.retry == Retry::kYes ? tunnel::Reset::kRefused : tunnel::Reset::kBackendLost;
}

std::vector<http::Header> headers_of(const http::AnswerHead& head, std::span<char> digits) {
  std::vector<http::Header> headers;
  headers.reserve(head.others.size() + 4);
  if (!head.content_type.empty()) headers.push_back({"content-type", head.content_type});
  if (!head.content_encoding.empty()) headers.push_back({"content-encoding", head.content_encoding});
  if (!head.retry_after.empty()) headers.push_back({"retry-after", head.retry_after});
  if (head.content_length) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), *head.content_length).ptr;
    headers.push_back({"content-length", {digits.data(), static_cast<std::size_t>(end - digits.data())}});
  }
  for (const auto& [name, value] : head.others) headers.push_back({name, value});
  return headers;
}

void begin(http::Incoming& call, const http::AnswerHead& head) {
  std::array<char, 20> digits;  // NOLINT: written by to_chars
  call.begin(head.status, headers_of(head, digits));
}

std::string_view method_of(const http::Incoming& call) noexcept {
  const auto text = boost::beast::http::to_string(call.head().method);
  return {text.data(), text.size()};
}

// As much of the answer as the tunnel takes now; the model server may send as much again.
void pass_on(http::OutgoingCall& from, tunnel::IncomingCall& to) {
  const std::size_t size = std::min(to.room(), from.body().size());
  if (size == 0) return;
  to.append(from.body().view().substr(0, size));
  from.body().consume(size);
  from.taken(size);
}

}  // namespace

void Forwarder::take(tunnel::IncomingPtr call) {
  if (!calls_.allows(method_of(*call), call->head().target)) return call->reset(tunnel::Reset::kNotForwarded);
  tasks_.spawn(forward(std::move(call)));
}

// Nothing is forwarded to a server that may not be the one that was looked at. One that is late with its list is: it
// may be busy, and is waited for as a direct upstream is.
Task<void> Forwarder::wait_for_look(http::Incoming& call, net::Signal& wake) {
  const Backend::NextLook look(backend_, wake);
  while (!call.gone() && !look.over()) (void)co_await wake.wait();
}

Task<void> Forwarder::forward(tunnel::IncomingPtr call) {
  net::Signal wake(loop_);
  call->watch_client(&wake);
  if (backend_.out_of_touch()) co_await wait_for_look(*call, wake);
  if (call->gone()) co_return;
  std::vector<http::Header> headers;
  for (const auto& [id, name, value] : call->head().fields) {
    if (name != tunnel::kModelHeader) {
      headers.push_back({name, value});
    } else if (!backend_.serves(percent_decode(value).value_or(std::string()))) {
      call->watch_client(nullptr);
      co_return call->reset(tunnel::Reset::kRefused);  // of another server than the one that is there now
    }
  }
  if (!backend_.authorization().empty()) headers.push_back({"authorization", backend_.authorization()});
  const std::string_view body = call->body();
  const http::OutgoingRequest request{method_of(*call), call->head().target, headers, {&body, body.empty() ? 0u : 1u}};
  reporter_.call_began();
  bool answered = false;
  std::unique_ptr<http::OutgoingCall> out = backend_.start(request, wake);
  while (!call->gone()) {
    if (!answered && out->head() != nullptr) {
      begin(*call, *out->head());
      reporter_.call_answered();
      answered = true;
    }
    if (answered) pass_on(*out, *call);
    if (out->state() == http::CallState::kFailed && (!answered || out->body().empty())) {
      const Error error = out->error();
      backend_.look_now();
      call->watch_client(nullptr);
      out.reset();  // its request lives in the call
      tunnel::IncomingCall::break_off(std::move(call), reset_for(error));
      break;
    }
    if (out->state() == http::CallState::kEnded && out->body().empty()) {
      call->watch_client(nullptr);
      out.reset();
      tunnel::IncomingCall::finish(std::move(call));
      break;
    }
    (void)co_await wake.wait();
  }
  if (call) {
    call->watch_client(nullptr);  // NOLINT: null if it was moved
    out.reset();
  }
  reporter_.call_ended(answered);
}

}  // namespace sluice::agent
