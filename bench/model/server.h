// A model server that costs next to nothing: plain HTTP/1.1, one thread, one edge-triggered epoll, one timer wheel for
// all paced streams, every answer made beforehand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/answers.h"

namespace sluice::bench {

struct Connection {
  int socket = -1;
  std::uint32_t generation = 0;  // an entry of the wheel that names another is stale
  std::string head;              // request head and the first bytes of its body
  std::uint64_t body_left = 0;
  bool in_body = false;
  bool chunked = false;
  std::string chunked_tail;
  std::string unsent;
  const Answer* answer = nullptr;  // a paced stream is under way
  std::uint32_t events_left = 0;
  bool usage = false;
  std::uint64_t due_us = 0;
};

class Server final {
 public:
  struct Options {
    std::uint16_t port = 0;
    std::uint32_t tick_us = 1000;
    std::uint32_t models = 0;  // bench-json-0 … bench-json-(n-1) are listed as well
    std::vector<std::string> listed;
  };
  explicit Server(Options options);

  // Binds and says the port; 0: it could not.
  std::uint16_t listen();
  void run();  // until SIGTERM or SIGINT

 private:
  struct Entry {
    Connection* connection;
    std::uint32_t generation;
  };

  void accept_all();
  void readable(Connection& connection);
  void take(Connection& connection, std::string_view bytes);
  std::size_t take_head(Connection& connection, std::string_view bytes);
  void answer(Connection& connection);
  void answer_chat(Connection& connection);
  void send(Connection& connection, std::string_view bytes);
  void flush(Connection& connection);
  void close(Connection& connection);
  void arm(Connection& connection);
  void fire(std::uint64_t now_us);
  void next_event(Connection& connection);
  [[nodiscard]] std::int64_t pause_us(std::uint64_t now_us) const;
  [[nodiscard]] std::string model_list() const;

  static constexpr std::size_t kSlots = 4096;

  Options options_;
  AnswerBook book_;
  std::string models_answer_;
  int listener_ = -1;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> unused_;
  std::vector<std::vector<Entry>> wheel_{kSlots};
  std::vector<Entry> firing_;
  std::uint64_t tick_ = 0;
  std::size_t armed_ = 0;
};

}  // namespace sluice::bench
