#include "load/driver.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kRetryAfter = 20'000'000;  // before a connection that failed is opened again
constexpr std::uint64_t kOpeningTime = 120 * kSecond;
constexpr std::uint64_t kDrainTime = 5 * kSecond;

}  // namespace

Driver::Driver(const Options& options, const std::vector<std::string>& requests, SSL_CTX* tls, WindowEvents* window)
    : options_(options), requests_(requests), window_(window), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, tls, epoll_));
    clients_.back()->keep_sessions(options.resume);
    closed_.push_back(clients_.back().get());
  }
  if (options.rate > 0) interval_ns_ = 1e9 / options.rate;
}

Driver::~Driver() {
  clients_.clear();
  ::close(epoll_);
}

bool Driver::run() {
  phase_until_ = now_ns() + kOpeningTime;
  while (phase_ != Phase::kEnd) turn();
  return window_from_ != 0;
}

void Driver::turn() {
  const std::uint64_t now = now_ns();
  change_phase(now);
  open_more(now);
  if (interval_ns_ > 0) start_due(now);
  const std::uint64_t wake = next_wake(now);
  const std::uint64_t pause = wake > now ? wake - now : 0;
  const timespec timeout{static_cast<time_t>(pause / kSecond), static_cast<long>(pause % kSecond)};
  epoll_event events[256];
  const int count = ::epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
  for (int i = 0; i < count; ++i) static_cast<Client*>(events[i].data.ptr)->advance();
}

std::uint64_t Driver::next_wake(std::uint64_t now) const noexcept {
  std::uint64_t wake = phase_until_;
  if (!closed_.empty() && connecting_ < options_.connecting && starting()) {
    wake = std::min(wake, closed_.front()->wake_at);
  }
  if (interval_ns_ > 0 && next_due_ > 0 && starting()) wake = std::min(wake, static_cast<std::uint64_t>(next_due_));
  return std::max(wake, now);
}

void Driver::change_phase(std::uint64_t now) {
  if (phase_ == Phase::kOpening && (opened_once_ == clients_.size() || call_per_connection())) {
    phase_ = Phase::kWarming;
    phase_until_ = now + static_cast<std::uint64_t>(options_.warmup_s * 1e9);
    if (interval_ns_ > 0) next_due_ = static_cast<double>(now);
  }
  if (phase_ == Phase::kOpening && (now >= phase_until_ || early_faults_ > 1'000 + 2 * clients_.size())) {
    phase_ = Phase::kEnd;
  }
  if (phase_ == Phase::kWarming && now >= phase_until_) begin_window(now);
  const bool used_up = options_.calls != 0 && started_ >= options_.calls && under_way_ == 0;
  if (phase_ == Phase::kMeasuring && (now >= phase_until_ || used_up)) {
    window_to_ = now;
    if (window_ != nullptr) window_->window_ends();
    phase_ = Phase::kDraining;
    phase_until_ = now + kDrainTime;
  }
  if (phase_ == Phase::kDraining) {
    // A closed loop's calls that are still under way were never late; an open loop's may be.
    const bool nothing_left = interval_ns_ == 0 || (under_way_ == 0 && overdue_.empty());
    if (nothing_left || now >= phase_until_) {
      if (!nothing_left) finish_unfinished(now);
      phase_ = Phase::kEnd;
    }
  }
}

void Driver::begin_window(std::uint64_t now) {
  phase_ = Phase::kMeasuring;
  window_from_ = now;
  window_to_ = now + static_cast<std::uint64_t>(options_.duration_s * 1e9);
  phase_until_ = window_to_;
  started_ = 0;
  if (window_ != nullptr) window_->window_begins();
}

void Driver::finish_unfinished(std::uint64_t now) {
  const auto late = [&](std::uint64_t intended) {
    if (!counts(intended)) return;
    tally_.latency.record(now - intended);
    ++tally_.faults[static_cast<std::size_t>(Fault::kUnfinished)];
  };
  for (const std::uint64_t intended : overdue_) late(intended);
  for (const auto& client : clients_) {
    if (client->state() >= Client::State::kSending) late(client->intended);
  }
}

void Driver::open_more(std::uint64_t now) {
  while (starting() && !closed_.empty() && connecting_ < options_.connecting && closed_.front()->wake_at <= now) {
    Client* client = closed_.front();
    closed_.pop_front();
    ++connecting_;
    client->open(options_.host, options_.port);
  }
}

void Driver::start_due(std::uint64_t now) {
  while (next_due_ > 0 && starting() && next_due_ <= static_cast<double>(now)) {
    overdue_.push_back(static_cast<std::uint64_t>(next_due_));
    next_due_ += interval_ns_;
  }
  while (!overdue_.empty() && !free_.empty()) {
    Client* client = free_.back();
    free_.pop_back();
    if (!client->ready()) continue;  // it was closed meanwhile
    const std::uint64_t intended = overdue_.front();
    overdue_.pop_front();
    start_call(*client, intended);
  }
}

void Driver::start_call(Client& client, std::uint64_t intended) {
  const std::string& request = requests_[next_request_];
  next_request_ = next_request_ + 1 == requests_.size() ? 0 : next_request_ + 1;
  ++started_;
  ++under_way_;
  client.start(request, intended);
}

void Driver::start_next(Client& client) {
  if (interval_ns_ > 0) {
    free_.push_back(&client);
    return start_due(now_ns());
  }
  if (!starting() || (options_.calls != 0 && started_ >= options_.calls)) return;
  start_call(client, now_ns());
}

void Driver::next_connection(Client& client, std::uint64_t when) {
  client.wake_at = when;
  closed_.push_back(&client);
}

void Driver::opened(Client& client) {
  const std::uint64_t now = now_ns();
  --connecting_;
  ++opened_once_;
  if (tally_.cipher.empty()) tally_.cipher = client.cipher();
  if (phase_ == Phase::kMeasuring) {
    ++tally_.connects;
    if (client.resumed()) ++tally_.resumed;
    tally_.handshake.record(now - client.opened_at);
  }
  if (options_.mode == Mode::kIdle && !options_.touch) return;
  if (call_per_connection()) {
    start_call(client, client.opened_at);  // its latency counts from connect()
  } else {
    start_next(client);
  }
}

void Driver::received(Client& client, std::uint32_t events) {
  const std::uint64_t now = now_ns();
  const bool window = phase_ == Phase::kMeasuring;
  if (window) {
    ++tally_.reads;
    tally_.events += events;
  }
  const bool stream = client.answer().event_stream();
  if (stream && events == 0) return;
  if (client.last_event == 0) {
    if (counts(client.intended)) tally_.first.record(now - client.intended);
    if (window)
      for (std::uint32_t i = 1; i < events; ++i) tally_.gap.record(0);
  } else if (window && stream) {
    tally_.gap.record(now - client.last_event);
    for (std::uint32_t i = 1; i < events; ++i) tally_.gap.record(0);
  }
  client.last_event = now;
  if (options_.mode == Mode::kAbort && client.answer().events() >= options_.abort_after) {
    if (window) ++tally_.aborts;
    --under_way_;
    client.intended = 0;
    client.close(Client::Farewell::kNone);
    next_connection(client, now);
  }
}

void Driver::record(Client& client, std::uint64_t now) {
  if (phase_ == Phase::kMeasuring) ++tally_.calls;
  if (counts(client.intended)) tally_.latency.record(now - client.intended);
}

void Driver::answered(Client& client) {
  const std::uint64_t now = now_ns();
  --under_way_;
  const AnswerReader& answer = client.answer();
  const bool whole =
      !options_.stream || (answer.stream_done() && (options_.events == 0 || answer.events() == options_.events));
  if (answer.status() == 200 && whole) {
    record(client, now);
  } else if (starting()) {
    if (answer.status() != 200) tally_.last_status = answer.status();
    ++early_faults_;
    ++tally_.faults[static_cast<std::size_t>(answer.status() != 200 ? Fault::kStatus : Fault::kEvents)];
  }
  client.intended = 0;
  if (options_.mode == Mode::kIdle && answer.keep_alive()) return;
  if (call_per_connection() || !answer.keep_alive()) {
    client.close(Client::Farewell::kNotify);
    return next_connection(client, answer.status() == 200 ? now : now + kRetryAfter);
  }
  start_next(client);
}

void Driver::failed(Client& client, Fault fault) {
  if (fault == Fault::kConnect || fault == Fault::kHandshake) --connecting_;
  // `intended` is kept of a call that was under way, 0 otherwise.
  if (client.intended != 0 && fault != Fault::kConnect && fault != Fault::kHandshake) --under_way_;
  client.intended = 0;
  if (starting()) {
    ++tally_.faults[static_cast<std::size_t>(fault)];
    ++early_faults_;
  }
  next_connection(client, now_ns() + kRetryAfter);
}

}  // namespace sluice::bench
