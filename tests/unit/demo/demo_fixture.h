// A demo model on a port of its own, a client that asks it, and what its streams say.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "demo/demo_model.h"

namespace sluice::demo {

namespace asio = boost::asio;

// A client that sends one request and reads to the end of the connection.
class Client final {
 public:
  explicit Client(const net::Endpoint& endpoint) : socket_(io_) { socket_.connect(endpoint); }

  void send(std::string_view method, std::string_view path, std::string_view body, std::string_view headers = {}) {
    const std::string request = std::string(method) + " " + std::string(path) +
                                " HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n" + std::string(headers) +
                                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
    asio::write(socket_, asio::buffer(request));
  }

  struct Answer {
    std::string head;
    std::string body;  // chunk frames removed
    boost::system::error_code end;
  };
  Answer read() {
    std::string all;
    Answer answer;
    asio::read(socket_, asio::dynamic_buffer(all), answer.end);
    const std::size_t split = std::min(all.find("\r\n\r\n"), all.size());
    answer.head = all.substr(0, split);
    answer.body = all.size() > split + 4 ? all.substr(split + 4) : "";
    if (answer.head.find("transfer-encoding: chunked") != std::string::npos) answer.body = unchunked(answer.body);
    return answer;
  }
  void wait_for_bytes() {
    char byte;
    asio::read(socket_, asio::buffer(&byte, 1));
  }
  void close() { socket_.close(); }

 private:
  static std::string unchunked(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      const std::size_t line = text.find("\r\n");
      if (line == std::string_view::npos) break;
      const std::size_t size = std::stoul(std::string(text.substr(0, line)), nullptr, 16);
      if (size == 0) break;
      out += text.substr(line + 2, size);
      text.remove_prefix(std::min(text.size(), line + 2 + size + 2));
    }
    return out;
  }

  asio::io_context io_;
  asio::ip::tcp::socket socket_;
};

class Demo : public testing::Test {
 protected:
  void start(DemoOptions options = {}) {
    if (options.pace == DemoOptions().pace) options.pace = std::chrono::microseconds(0);
    auto started = DemoModel::start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    model_ = std::move(*started);
  }
  Client::Answer ask(std::string_view path, std::string_view body, std::string_view headers = {}) {
    Client client(model_->endpoint());
    client.send(body.empty() ? "GET" : "POST", path, body, headers);
    return client.read();
  }
  Client::Answer chat(std::string_view more = {}, std::string_view headers = {}) {
    return ask("/v1/chat/completions",
               R"({"model":"demo-model","messages":[{"role":"user","content":"hi"}])" + std::string(more) + "}",
               headers);
  }
  static std::string fault(std::string_view name) { return "X-Demo-Fault: " + std::string(name) + "\r\n"; }

  // The stats once `member` is `value`.
  std::string stats_when(std::string_view member, std::uint64_t value) {
    const std::string wanted = "\"" + std::string(member) + "\":" + std::to_string(value) + ",";
    for (;;) {
      std::string stats = model_->stats();
      if (stats.find(wanted) != std::string::npos) return stats;
      std::this_thread::yield();
    }
  }

  std::unique_ptr<DemoModel> model_;
};

inline std::vector<std::string> events(std::string_view body) {
  std::vector<std::string> all;
  for (std::size_t end = 0; (end = body.find("\n\n")) != std::string_view::npos; body.remove_prefix(end + 2))
    all.emplace_back(body.substr(0, end));
  return all;
}

// The text of the deltas of a chat stream.
inline std::string text_of(const std::vector<std::string>& stream, std::uint64_t choice = 0) {
  simdjson::dom::parser parser;
  std::string text;
  for (const std::string& event : stream) {
    simdjson::dom::element chunk;
    if (parser.parse(event.substr(6)).get(chunk) != simdjson::SUCCESS) continue;
    std::string_view delta;
    std::uint64_t index = 0;
    if (chunk["choices"].at(0)["index"].get(index) != simdjson::SUCCESS || index != choice) continue;
    if (chunk["choices"].at(0)["delta"]["content"].get(delta) == simdjson::SUCCESS) text += delta;
    if (chunk["choices"].at(0)["text"].get(delta) == simdjson::SUCCESS) text += delta;
    if (chunk["choices"].at(0)["delta"]["tool_calls"].at(0)["function"]["arguments"].get(delta) == simdjson::SUCCESS)
      text += delta;
  }
  return text;
}

inline simdjson::dom::element json(simdjson::dom::parser& parser, const std::string& text) {
  simdjson::dom::element element;
  EXPECT_EQ(parser.parse(text).get(element), simdjson::SUCCESS) << text;
  return element;
}

}  // namespace sluice::demo
