#include "tunnel/remote_call.h"

#include "tunnel/failed_call.h"

namespace sluice::tunnel {

RemoteLink::RemoteLink(net::Loop& caller_loop, Agent& agent, const http::OutgoingRequest& request, HeldBytes* held)
    : caller_loop_(caller_loop), agent_(agent), method_(request.method), path_(request.path), holding_(held) {
  for (const http::Header& header : request.headers) fields_.emplace_back(header.name, header.value);
  for (const auto& [name, value] : fields_) headers_.push_back({name, value});
  std::size_t size = 0;
  for (const std::string_view part : request.body) size += part.size();
  too_much_ = !holding_.set(size);
  if (too_much_) return;
  if (size != 0) (void)body_.prepare(size);
  for (const std::string_view part : request.body) body_.append(part);
  body_view_ = body_.view();
  request_ = {method_, path_, headers_, {&body_view_, body_view_.empty() ? 0u : 1u}};
}

void RemoteLink::drop_body() noexcept {
  request_.body = {};
  body_view_ = {};
  body_.release();
  holding_.release();
}

RemoteCall::RemoteCall(net::Loop& loop, Host& carrier, Agent& agent, const http::OutgoingRequest& request,
                       net::Signal& wake, HeldBytes* held) noexcept
    : link_(std::make_shared<RemoteLink>(loop, agent, request, held)),
      carrier_loop_(carrier.loop()),
      wake_(wake),
      holding_(held) {
  if (link_->too_much()) {
    state_ = http::CallState::kFailed;
    error_ = kHoldsTooMuch;
    wake_.notify();
    return;
  }
  link_->call = this;
  carrier.carry_later(link_);
}

RemoteCall::~RemoteCall() {
  link_->call = nullptr;
  if (state_ == http::CallState::kRunning) cancel();
}

void RemoteCall::cancel() noexcept {
  carrier_loop_.post([link = link_] {
    link->cancelled = true;
    if (link->carrier_wake != nullptr) link->carrier_wake->notify();
  });
}

void RemoteCall::taken(std::size_t size_bytes) noexcept {
  (void)holding_.set(body_.size());
  untold_bytes_ += size_bytes;
  if (untold_bytes_ < kTakenLotBytes || state_ != http::CallState::kRunning) return;
  carrier_loop_.post([link = link_, lot = std::exchange(untold_bytes_, 0)] {
    link->taken_bytes += lot;
    if (link->carrier_wake != nullptr) link->carrier_wake->notify();
  });
}

void RemoteCall::hear(RemoteNews news) noexcept {
  if (state_ != http::CallState::kRunning) return;  // given up
  if (news.head) head_ = std::move(news.head);
  if (body_.empty()) {
    body_ = std::move(news.body);
  } else {
    body_.append(news.body.view());
  }
  state_ = news.state;
  error_ = news.error;
  if (!holding_.set(body_.size())) {
    if (state_ == http::CallState::kRunning) cancel();
    state_ = http::CallState::kFailed;
    error_ = kHoldsTooMuch;
  }
  wake_.notify();
}

// The carrier's side of it.
void Host::carry_later(std::shared_ptr<RemoteLink> link) {
  loop_.post([this, link = std::move(link)]() mutable {
    if (!closing_) return tasks_.spawn(carry(std::move(link)));
    RemoteNews news;
    news.state = http::CallState::kFailed;
    news.error = upstream_error(ErrorKind::kUnavailable, "the worker with the tunnel is closing", Retry::kYes);
    net::Loop& caller = link->caller_loop();
    caller.post([link = std::move(link), news = std::move(news)]() mutable {
      if (link->call != nullptr) link->call->hear(std::move(news));
    });
  });
}

Task<void> Host::carry(std::shared_ptr<RemoteLink> link) {
  net::Signal wake(loop_);
  link->carrier_wake = &wake;
  GatewayTunnel* const tunnel = tunnel_to(link->agent());
  std::unique_ptr<http::OutgoingCall> call;
  if (tunnel != nullptr) {
    call = tunnel->start(link->request(), wake);
  } else {
    const Error gone = upstream_error(ErrorKind::kUnavailable, "agent is not connected", Retry::kYes);
    call = std::make_unique<FailedCall>(gone);
  }
  bool head_told = false;
  while (!link->cancelled) {
    if (!call->holds_request()) link->drop_body();
    if (link->taken_bytes != 0) call->taken(std::exchange(link->taken_bytes, 0));
    RemoteNews news;
    news.state = call->state();
    if (news.state == http::CallState::kFailed) news.error = call->error();
    if (!head_told && call->head() != nullptr) {
      news.head = std::make_unique<http::AnswerHead>(*call->head());
      head_told = true;
    }
    news.body.swap(call->body());
    const bool over = news.state != http::CallState::kRunning;
    if (over || news.head || !news.body.empty()) {
      link->caller_loop().post([link, news = std::move(news)]() mutable {
        if (link->call != nullptr) link->call->hear(std::move(news));
      });
    }
    if (over) break;
    (void)co_await wake.wait();
  }
  link->carrier_wake = nullptr;
}

}  // namespace sluice::tunnel
