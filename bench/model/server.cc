#include "model/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace sluice::bench {
namespace {

constexpr std::size_t kBodyKept = 1024;  // of a body: the model's name stands there
constexpr std::size_t kHeadLimit = 64 * 1024;
volatile std::sig_atomic_t stop_asked = 0;

std::uint64_t now_us() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000U + static_cast<std::uint64_t>(now.tv_nsec) / 1'000U;
}

std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos && at + 2 < head.size();) {
    const std::size_t begin = at + 2;
    at = head.find("\r\n", begin);
    const std::string_view line = head.substr(begin, at - begin);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      std::string_view value = line.substr(name.size() + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      return value;
    }
  }
  return {};
}

std::string_view string_member(std::string_view body, std::string_view quoted_name) {
  std::size_t at = body.find(quoted_name);
  if (at == std::string_view::npos) return {};
  at = body.find('"', at + quoted_name.size());
  if (at == std::string_view::npos) return {};
  const std::size_t end = body.find('"', at + 1);
  return end == std::string_view::npos ? std::string_view() : body.substr(at + 1, end - at - 1);
}

constexpr std::string_view kNotFound =
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 77\r\n\r\n"
    R"({"error":{"message":"no such thing","type":"x","param":null,"code":"absent"})"
    "}";

}  // namespace

Server::Server(Options options) : options_(std::move(options)) { models_answer_ = model_list(); }

std::string Server::model_list() const {
  std::vector<std::string> names{"bench-json", "bench-sse-1-0", "bench-sse-64-0"};
  names.insert(names.end(), options_.listed.begin(), options_.listed.end());
  for (std::uint32_t i = 0; i < options_.models; ++i) names.push_back("bench-json-" + std::to_string(i));
  std::string body = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < names.size(); ++i) {
    body += (i == 0 ? "" : ",") + std::string(R"({"id":")") + names[i] +
            R"(","object":"model","created":1760000000,"owned_by":"bench"})";
  }
  body += "]}";
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::uint16_t Server::listen() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 4096) != 0) return 0;
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.ptr = nullptr;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &interest);
  return ntohs(address.sin_port);
}

void Server::run() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  tick_ = now_us() / options_.tick_us;
  while (stop_asked == 0) {
    const std::int64_t pause = pause_us(now_us());
    const timespec timeout{pause / 1'000'000, pause % 1'000'000 * 1'000};
    epoll_event events[256];
    const int count = ::epoll_pwait2(epoll_, events, 256, pause < 0 ? nullptr : &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[i].data.ptr);
      if (connection == nullptr) {
        accept_all();
        continue;
      }
      if ((events[i].events & EPOLLOUT) != 0 && !connection->unsent.empty()) flush(*connection);
      if ((events[i].events & ~EPOLLOUT) != 0) readable(*connection);
    }
    if (armed_ > 0) {
      fire(now_us());
    } else {
      tick_ = now_us() / options_.tick_us;
    }
  }
}

void Server::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (unused_.empty()) {
      connections_.push_back(std::make_unique<Connection>());
      unused_.push_back(connections_.back().get());
    }
    Connection* connection = unused_.back();
    unused_.pop_back();
    connection->socket = socket;
    epoll_event interest{};
    interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    interest.data.ptr = connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &interest);
  }
}

void Server::close(Connection& connection) {
  if (connection.socket < 0) return;
  ::close(connection.socket);
  const std::uint32_t generation = connection.generation + 1;
  connection = Connection();
  connection.generation = generation;
  unused_.push_back(&connection);
}

void Server::readable(Connection& connection) {
  static char buffer[256 * 1024];
  while (connection.socket >= 0) {
    const ssize_t count = ::recv(connection.socket, buffer, sizeof(buffer), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return close(connection);
    take(connection, {buffer, static_cast<std::size_t>(count)});
    if (static_cast<std::size_t>(count) < sizeof(buffer)) return;  // drained: what comes later makes an edge
  }
}

void Server::take(Connection& connection, std::string_view bytes) {
  while (!bytes.empty() && connection.socket >= 0) {
    if (!connection.in_body) {
      const std::size_t taken = take_head(connection, bytes);
      bytes.remove_prefix(taken);
      if (!connection.in_body) return;
    }
    std::size_t taken = bytes.size();
    bool ended = false;
    if (connection.chunked) {
      connection.chunked_tail.append(bytes);
      ended = connection.chunked_tail.ends_with("0\r\n\r\n");
      connection.head.append(bytes.substr(0, kBodyKept));
      if (connection.chunked_tail.size() > 16) connection.chunked_tail.erase(0, connection.chunked_tail.size() - 16);
    } else {
      taken = static_cast<std::size_t>(std::min<std::uint64_t>(connection.body_left, bytes.size()));
      connection.body_left -= taken;
      ended = connection.body_left == 0;
      if (connection.head.size() < 4 * kBodyKept) connection.head.append(bytes.substr(0, std::min(taken, kBodyKept)));
    }
    bytes.remove_prefix(taken);
    if (!ended) continue;
    connection.in_body = false;
    answer(connection);
    connection.head.clear();
  }
}

// Takes bytes up to the end of the head, and answers a request without a body.
std::size_t Server::take_head(Connection& connection, std::string_view bytes) {
  const std::size_t before = connection.head.size();
  connection.head.append(bytes);
  const std::size_t end = connection.head.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (connection.head.size() > kHeadLimit) close(connection);
    return bytes.size();
  }
  connection.head.resize(end + 4);
  const std::string_view length = header(connection.head, "content-length");
  connection.body_left = length.empty() ? 0 : std::strtoull(length.data(), nullptr, 10);
  connection.chunked = !header(connection.head, "transfer-encoding").empty();
  connection.chunked_tail.clear();
  connection.in_body = connection.chunked || connection.body_left > 0;
  if (!connection.in_body) {
    answer(connection);
    connection.head.clear();
  }
  return end + 4 - before;
}

void Server::answer(Connection& connection) {
  const std::string_view head = connection.head;
  if (head.starts_with("GET ") && head.find("/models") < head.find("\r\n")) return send(connection, models_answer_);
  if (head.starts_with("POST ")) return answer_chat(connection);
  send(connection, kNotFound);
}

void Server::answer_chat(Connection& connection) {
  const std::string_view head = connection.head;
  const std::string_view body = head.substr(head.find("\r\n\r\n") + 4);
  const Answer* answer = book_.find(string_member(body, "\"model\""));
  if (answer == nullptr) return send(connection, kNotFound);
  connection.usage = body.find("\"include_usage\":true") != std::string_view::npos;
  if (!answer->burst.empty()) return send(connection, connection.usage ? answer->burst_with_usage : answer->burst);
  send(connection, answer->head_and_first);
  if (!answer->stream || connection.socket < 0) return;
  connection.answer = answer;
  connection.events_left = answer->events - 1;
  connection.due_us = now_us();
  arm(connection);
}

void Server::arm(Connection& connection) {
  connection.due_us += std::uint64_t{connection.answer->pace_ms} * 1'000U;
  const std::uint64_t tick = std::max(connection.due_us / options_.tick_us, tick_ + 1);
  wheel_[tick % kSlots].push_back({&connection, connection.generation});
  ++armed_;
}

std::int64_t Server::pause_us(std::uint64_t now) const {
  if (armed_ == 0) return -1;
  for (std::uint64_t tick = tick_ + 1; tick < tick_ + kSlots; ++tick) {
    if (wheel_[tick % kSlots].empty()) continue;
    const std::uint64_t due = tick * options_.tick_us;
    return due > now ? static_cast<std::int64_t>(due - now) : 0;
  }
  return 0;
}

void Server::fire(std::uint64_t now) {
  const std::uint64_t now_tick = now / options_.tick_us;
  while (tick_ < now_tick) {
    ++tick_;
    auto& slot = wheel_[tick_ % kSlots];
    if (slot.empty()) continue;
    firing_.swap(slot);
    for (const Entry& entry : firing_) {
      --armed_;
      Connection& connection = *entry.connection;
      if (connection.generation != entry.generation || connection.answer == nullptr) continue;
      if (connection.due_us / options_.tick_us > tick_) {  // a later round of the wheel
        slot.push_back(entry);
        ++armed_;
        continue;
      }
      next_event(connection);
    }
    firing_.clear();
  }
}

void Server::next_event(Connection& connection) {
  const Answer& answer = *connection.answer;
  if (--connection.events_left > 0) {
    arm(connection);
    return send(connection, answer.middle);
  }
  connection.answer = nullptr;
  send(connection, connection.usage ? answer.last_with_usage : answer.last);
}

void Server::send(Connection& connection, std::string_view bytes) {
  if (connection.unsent.empty()) {
    const ssize_t count = ::send(connection.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) return close(connection);
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (!bytes.empty()) connection.unsent.append(bytes);
}

void Server::flush(Connection& connection) {
  const std::string bytes = std::move(connection.unsent);
  connection.unsent.clear();
  send(connection, bytes);
}

}  // namespace sluice::bench
