// Raw requests and what a server makes of them: one table for what is taken and what is refused, whole and in pieces.
#include "http/h1/server_connection.h"

#include <gtest/gtest.h>

#include "support/loop_runner.h"

namespace sluice::http::h1 {
namespace {

class FreeReserve final : public ServerConnection::Reserve {
 public:
  bool grow(std::size_t) noexcept override { return true; }
};

struct Served {
  std::string log;     // "POST /path body|" for each request, "!413|" for each refusal
  std::string answer;  // raw
};

class ServerConnectionTest : public test::LoopTest {
 protected:
  // Serves `raw`, sent in pieces of `piece_bytes` and then ended, with a body limit of 100 bytes.
  Served serve(std::string_view raw, std::size_t piece_bytes) {
    Served served;
    test::StreamPair pair = test::connected_pair(loop);
    group.spawn(send(*pair.client, raw, piece_bytes));
    group.spawn(read_all(*pair.client, served.answer));
    run(answer_all(std::move(pair.server), served.log));
    drain();
    return served;
  }

  static Task<void> send(net::Stream& client, std::string_view raw, std::size_t piece_bytes) {
    for (std::size_t at = 0; at < raw.size(); at += piece_bytes) {
      const Status written =
          co_await client.write(raw.substr(at, piece_bytes), net::Deadline::after(std::chrono::seconds(5)));
      if (!written) co_return;
      co_await asio::post(client.loop().io(), use_task);
    }
    client.end_writing();
  }
  static Task<void> read_all(net::Stream& client, std::string& into) {
    std::array<char, 4096> bytes;
    for (;;) {
      const Result<std::size_t> read = co_await client.read_some(bytes, net::Deadline::after(std::chrono::seconds(5)));
      if (!read || *read == 0) co_return;
      into.append(bytes.data(), *read);
    }
  }
  static Task<void> answer_all(std::unique_ptr<net::Stream> stream, std::string& log) {
    ServerConnection server(std::move(stream), {.head_bytes = 512});
    FreeReserve reserve;
    for (;;) {
      const Result<const RequestHead*> head = co_await server.read_head();
      if (!head) {
        if (head.error().kind == ErrorKind::kClosed) break;
        log += head.error().kind == ErrorKind::kHeadTooLarge ? "!431|" : "!400|";
        server.close_after_answer();
        (void)co_await server.respond(400, {}, "bad");
        break;
      }
      log += std::string(boost::beast::http::to_string((*head)->method)) + " " + std::string((*head)->path);
      Buffer body;
      const Status read = co_await server.read_body(body, 100, reserve, net::Deadline::never());
      log += read                                        ? " " + std::string(body.view()) + "|"
             : read.error().kind == ErrorKind::kTooLarge ? " !413|"
                                                         : " !bad|";
      (void)co_await server.respond(read ? 200 : 413, {}, read ? "ok" : "no");
      if (!server.keeps_alive()) break;
    }
    server.stream().close();
  }
};

struct Row {
  const char* what;
  std::string raw;
  const char* log;
};

const std::string kHost = "Host: a\r\n";

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  while (times-- != 0) all += text;
  return all;
}

const Row kRows[] = {
    {"no body", "GET /a?b=c HTTP/1.1\r\n" + kHost + "\r\n", "GET /a |"},
    {"a body", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 5\r\n\r\nhello", "POST /a hello|"},
    {"chunks",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
     "POST /a hello|"},
    {"two requests", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n" + kHost + "\r\n",
     "POST /a hi|GET /b |"},
    {"chunks, then another",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /b HTTP/1.1\r\n" +
         kHost + "\r\n",
     "POST /a hi|GET /b |"},
    {"close", "GET /a HTTP/1.1\r\n" + kHost + "Connection: close\r\n\r\nGET /b HTTP/1.1\r\n" + kHost + "\r\n",
     "GET /a |"},
    {"HTTP/1.0", "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n", "GET /a |"},
    {"absolute form", "GET http://a/b?c HTTP/1.1\r\n" + kHost + "\r\n", "GET /b |"},
    {"too large, then sane",
     "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 101\r\n\r\n" + std::string(101, 'x') + "GET /b HTTP/1.1\r\n" +
         kHost + "\r\n",
     "POST /a !413|GET /b |"},
    {"chunks too large",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n66\r\n" + std::string(102, 'x') +
         "\r\n0\r\n\r\n",
     "POST /a !413|"},
    {"length and chunks",
     "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400|"},
    {"chunks and length",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "!400|"},
    {"two lengths", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "!400|"},
    {"two equal lengths", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
     "!400|"},
    {"a signed length", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: +5\r\n\r\nhello", "!400|"},
    {"gzip, chunked", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!400|"},
    {"gzip alone", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: gzip\r\n\r\n", "!400|"},
    {"chunked twice",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "!400|"},
    {"chunks in HTTP/1.0", "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400|"},
    {"no host", "GET /a HTTP/1.1\r\n\r\n", "!400|"},
    {"two hosts", "GET /a HTTP/1.1\r\n" + kHost + kHost + "\r\n", "!400|"},
    {"space before colon", "GET /a HTTP/1.1\r\nHost : a\r\n\r\n", "!400|"},
    {"a NUL", "GET /a HTTP/1.1\r\n" + kHost + std::string("x: a\0b\r\n\r\n", 10), "!400|"},
    {"bare LF", "GET /a HTTP/1.1\nHost: a\n\n\r\n\r\n", "!400|"},
    {"bare CR in a value", "GET /a HTTP/1.1\r\n" + kHost + "x: a\rb\r\n\r\n", "!400|"},
    {"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!400|"},
    {"TLS on a plain port", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "!400|"},
    {"a head too large", "GET /a HTTP/1.1\r\n" + kHost + "x: " + std::string(600, 'y') + "\r\n\r\n", "!431|"},
    {"a folded field", "GET /a HTTP/1.1\r\n" + kHost + "x: a\r\n b\r\n\r\n", "!400|"},
    {"a space before the colon of a length", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length : 5\r\n\r\nhello",
     "!400|"},
    {"an empty field name", "GET /a HTTP/1.1\r\n" + kHost + ": a\r\n\r\n", "!400|"},
    {"an empty length", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: \r\n\r\nhello", "!400|"},
    {"a list of lengths", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 5, 5\r\n\r\nhello", "!400|"},
    {"a hexadecimal length", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 0x5\r\n\r\nhello", "!400|"},
    {"a length beyond 64 bits", "POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 18446744073709551617\r\n\r\nhello",
     "!400|"},
    {"chunked, in capitals", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
     "POST /a x|"},
    {"chunked with a tail", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
     "!400|"},
    {"identity", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: identity\r\n\r\n", "!400|"},
    {"chunked behind a vertical tab", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: \vchunked\r\n\r\n", "!400|"},
    {"trailers", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: b\r\n\r\n",
     "POST /a x|"},
    {"a bare LF behind a chunk size",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", "POST /a !bad|"},
    {"a chunk longer than it says",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", "POST /a !bad|"},
    {"a chunk size beyond 64 bits",
     "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
     "POST /a !bad|"},
    {"a signed chunk size", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
     "POST /a !bad|"},
    {"a host with a slash", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n", "!400|"},
    {"a host with credentials", "GET /a HTTP/1.1\r\nHost: u@a\r\n\r\n", "!400|"},
    {"another scheme", "GET ftp://a/b HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"absolute form with a query alone", "GET http://a?c HTTP/1.1\r\n" + kHost + "\r\n", "GET / |"},
    {"absolute form with no host", "GET http:///b HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"a relative target", "GET a HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"a fragment", "GET /a#b HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"a space in the target", "GET /a b HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"a raw byte beyond ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"two spaces in the request line", "GET  /a HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"the asterisk", "OPTIONS * HTTP/1.1\r\n" + kHost + "\r\n", "OPTIONS * |"},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" + kHost + "\r\n", "!400|"},
    {"HTTP/1.2", "GET /a HTTP/1.2\r\n" + kHost + "\r\n", "!400|"},
    {"HTTP/0.9", "GET /a\r\n\r\n", "!400|"},
    {"empty lines before", "\r\n\r\nGET /a HTTP/1.1\r\n" + kHost + "\r\n", "GET /a |"},
    {"many empty lines before", repeated("\r\n", 200) + "GET /a HTTP/1.1\r\n" + kHost + "\r\n", "GET /a |"},
    {"empty lines without end", repeated("\r\n", 1000), "!431|"},
    {"empty lines that leave a head no room", repeated("\r\n", 250) + "GET /a HTTP/1.1\r\n" + kHost + "\r\n", "!431|"},
    {"empty lines behind a request", "GET /a HTTP/1.1\r\n" + kHost + "\r\n" + repeated("\r\n", 1000), "GET /a |!431|"},
    {"bytes beyond ASCII in a value", "GET /a HTTP/1.1\r\n" + kHost + "x: \xc3\xa4\r\n\r\n", "GET /a |"},
    {"another expectation", "POST /a HTTP/1.1\r\n" + kHost + "Expect: tea\r\nContent-Length: 0\r\n\r\n", "!400|"},
    {"a chunk size that is none", "POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
     "POST /a !bad|"},
};

TEST_F(ServerConnectionTest, TakesGoodRequestsAndRefusesDoubtfulOnesWhereverTheyAreSplit) {
  for (const Row& row : kRows) {
    for (const std::size_t piece : {row.raw.size(), std::size_t{1}, std::size_t{7}})
      EXPECT_EQ(serve(row.raw, piece).log, row.log) << row.what << " in pieces of " << piece;
  }
}

TEST_F(ServerConnectionTest, ABodyThatTricklesIsWholeInTimeOrRefused) {
  const auto serve_until = [](std::unique_ptr<net::Stream> stream, Error& why) -> Task<void> {
    ServerConnection server(std::move(stream), {});
    FreeReserve reserve;
    Buffer body;
    const Result<const RequestHead*> head = co_await server.read_head();
    if (!head) co_return;
    const net::Deadline until = net::Deadline::after(std::chrono::milliseconds(50));
    const Status read = co_await server.read_body(body, 1000, reserve, until);
    if (!read) why = read.error();
  };
  const auto trickle = [](net::Stream& client) -> Task<void> {
    (void)co_await client.write("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                                net::Deadline::after(std::chrono::seconds(5)));
    net::Signal pause(client.loop());
    for (;;) {
      const Status sent = co_await client.write("1\r\nx\r\n", net::Deadline::after(std::chrono::seconds(5)));
      if (!sent) co_return;
      (void)co_await pause.wait(net::Deadline::after(std::chrono::milliseconds(5)));
    }
  };
  test::StreamPair pair = test::connected_pair(loop);
  Error why;
  group.spawn(trickle(*pair.client));
  run(serve_until(std::move(pair.server), why));
  EXPECT_EQ(why.kind, ErrorKind::kTimeout);
  pair.client->close();
  drain();
}

TEST_F(ServerConnectionTest, HeadsAreHeldUnderTheCap) {
  HeldBytes held(16 * 1024);
  const auto read_head = [](std::unique_ptr<net::Stream> stream, HeldBytes& all, Error& why) -> Task<void> {
    ServerConnection server(std::move(stream), {.held = &all});
    const Result<const RequestHead*> head = co_await server.read_head();
    if (!head) why = head.error();
  };
  const std::string begun = "GET /a HTTP/1.1\r\nHost: a\r\nx: " + std::string(10'000, 'y');
  test::StreamPair first = test::connected_pair(loop), second = test::connected_pair(loop);
  Error why_first, why_second;
  group.spawn(read_head(std::move(first.server), held, why_first));
  ASSERT_TRUE(first.client->try_write(begun));
  while (held.held() == 0) {
    loop.io().restart();
    loop.io().run_one();
  }
  ASSERT_TRUE(second.client->try_write(begun));
  run(read_head(std::move(second.server), held, why_second));
  EXPECT_EQ(why_second.kind, ErrorKind::kOverloaded);
  first.client->close();
  drain();
  EXPECT_EQ(held.held(), 0u);
}

TEST_F(ServerConnectionTest, AnnouncesItsLengthAndKeepsTheConnection) {
  const Served served = serve("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1000);
  EXPECT_TRUE(served.answer.starts_with("HTTP/1.1 200 OK\r\n")) << served.answer;
  EXPECT_NE(served.answer.find("content-length: 2\r\n\r\nok"), std::string::npos) << served.answer;
  EXPECT_EQ(served.answer.find("connection: close"), std::string::npos) << served.answer;
}

TEST_F(ServerConnectionTest, SaysContinueOnlyForABodyThatItWillRead) {
  const std::string head = "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";
  EXPECT_TRUE(serve(head + "2\r\n\r\nhi", 1000).answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"));
  const Served refused = serve(head + "200\r\n\r\n", 1000);
  EXPECT_TRUE(refused.answer.starts_with("HTTP/1.1 413")) << refused.answer;
  EXPECT_NE(refused.answer.find("connection: close"), std::string::npos) << refused.answer;
}

Task<void> stream_answer(std::unique_ptr<net::Stream> stream) {
  ServerConnection server(std::move(stream), {});
  const Result<const RequestHead*> head = co_await server.read_head();
  if (!head) co_return;
  server.begin(200, {});
  server.append("one");
  (void)co_await server.flush();
  server.append("two");
  server.append("three");
  (void)co_await server.finish();
  server.stream().close();
}

TEST_F(ServerConnectionTest, StreamsInChunksAndEndsWithOne) {
  test::StreamPair pair = test::connected_pair(loop);
  std::string answer;
  group.spawn(send(*pair.client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1000));
  group.spawn(read_all(*pair.client, answer));
  run(stream_answer(std::move(pair.server)));
  drain();
  EXPECT_TRUE(
      answer.ends_with("transfer-encoding: chunked\r\n\r\n00000003\r\none\r\n00000008\r\ntwothree\r\n0\r\n\r\n"))
      << answer;
}

}  // namespace
}  // namespace sluice::http::h1
