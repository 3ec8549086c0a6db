// The admin server's doors: its socket and its port, what is no request, who may ask, and what its memory keeps.
#include "admin/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <vector>

#include "identity/secret_key.h"
#include "store/sqlite.h"
#include "unit/admin/running_gateway.h"

namespace sluice::admin {
namespace {

TEST_F(AdminTest, OnlyTheOwnerMayOpenTheSocket) {
  struct stat info {};
  ASSERT_EQ(::stat(gateway.socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AdminTest, TheMetricsPortShowsMetricsAndNothingElse) {
  const auto get = [&](const std::string& line) {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), gateway.server.metrics_port()});
    asio::write(socket, asio::buffer(line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    std::string answer;
    boost::system::error_code ec;
    asio::read(socket, asio::dynamic_buffer(answer), ec);
    return answer;
  };
  EXPECT_NE(get("GET /metrics").find("sluice_up 1"), std::string::npos);
  EXPECT_TRUE(get("GET /keys").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(get("POST /drain").starts_with("HTTP/1.1 404"));
  EXPECT_FALSE(gateway.gateway.drained);
}

// What comes for `bytes` until the gateway ends the connection.
std::string raw(const std::string& socket_path, const std::string& bytes) {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  socket.connect(asio::local::stream_protocol::endpoint(socket_path));
  boost::system::error_code ec;
  asio::write(socket, asio::buffer(bytes), ec);
  std::string answer;
  asio::read(socket, asio::dynamic_buffer(answer), ec);
  return answer;
}

TEST_F(AdminTest, BytesThatAreNoRequestGetAClearAnswer) {
  const std::string head = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  const std::pair<std::string, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET /a%zz" + head + "\r\n", 400},
      {"POST /tenants" + head + "Content-Length: 4\r\n\r\n[1,]", 400},
      {"GET /" + head + "X: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
      {"POST /tenants" + head + "Content-Length: 1048577\r\n\r\n{", 413},
  };
  for (const auto& [bytes, status] : cases) {
    const std::string answer = raw(gateway.socket, bytes);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(status))) << bytes.substr(0, 40) << " -> " << answer;
    EXPECT_NE(answer.find("{\"error\":"), std::string::npos) << answer;
  }
  gateway.good("GET", "/status");
}

TEST_F(AdminTest, AConnectionServesOneRequestAfterAnother) {
  const std::string answers = raw(gateway.socket,
                                  "GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "POST /tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{\"name\":\"acme\"}"
                                  "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /audit?format=csv HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::size_t good = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++good;
  EXPECT_EQ(good, 4u) << answers;
  EXPECT_NE(answers.find("HTTP/1.1 404"), std::string::npos) << answers;
  EXPECT_NE(answers.find("time,request_id,"), std::string::npos) << answers;
}

TEST_F(AdminTest, NobodyDoesWhatTheyHaveNoRightTo) {
  const auto status_for = [&](const Principal& who, std::string_view method, std::string_view target) {
    std::promise<unsigned> status;
    const Request request = *parse_target(method, target);
    Routes routes({gateway.accounts, gateway.agents, *gateway.store, gateway.directory, gateway.book, gateway.gateway,
                   gateway.clock, gateway.store_thread, gateway.secrets},
                  gateway.loop);
    const auto ask = [](Routes& all, const Principal& by, const Request& what,
                        std::promise<unsigned>& told) -> Task<void> {
      const Answer answer = co_await all.handle(by, what);
      told.set_value(answer.status);
    };
    gateway.loop.post([&] { gateway.tasks.spawn(ask(routes, who, request, status)); });
    return status.get_future().get();
  };
  const Principal watcher("a watcher", {Right::kWatch, Right::kReadCallers});
  EXPECT_EQ(status_for(watcher, "GET", "/status"), 200u);
  EXPECT_EQ(status_for(watcher, "GET", "/tenants"), 200u);
  const std::pair<const char*, const char*> forbidden[] = {{"POST", "/drain"},          {"POST", "/keys"},
                                                           {"DELETE", "/tenants/acme"}, {"GET", "/agents"},
                                                           {"POST", "/pairings"},       {"GET", "/audit?format=csv"}};
  for (const auto& [method, target] : forbidden) {
    EXPECT_EQ(status_for(watcher, method, target), 403u) << method << " " << target;
  }
  EXPECT_FALSE(gateway.gateway.drained);
  EXPECT_EQ(status_for(Principal::socket_owner(0), "POST", "/drain"), 200u);
}

TEST_F(AdminTest, ASocketInUseIsNotTakenAndAnAbandonedOneIsReplaced) {
  net::Loop loop;  // of its own: the gateway's runs on another thread
  AdminServer second(loop,
                     {gateway.accounts, gateway.agents, *gateway.store, gateway.directory, gateway.book,
                      gateway.gateway, gateway.clock, gateway.store_thread, gateway.secrets},
                     gateway.log);
  EXPECT_NE(std::string(second.listen(gateway.socket).message()).find("another gateway answers"), std::string::npos);
  const std::string file = gateway.scratch.file("file");
  std::ofstream(file) << "x";
  EXPECT_NE(std::string(second.listen(file).message()).find("is no socket"), std::string::npos);
  EXPECT_NE(std::string(second.listen("/no/such/folder/admin.sock").message()).find("cannot listen"),
            std::string::npos);
  EXPECT_NE(std::string(second.listen("/" + std::string(200, 'x')).message()).find("too long"), std::string::npos);
}

// How often a text stands in this process's memory. It is given masked, so that looking for it does not make a copy.
std::size_t copies_in_memory(const std::array<char, 43>& masked, char mask) {
  std::ifstream maps("/proc/self/maps");
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::size_t found = 0;
  std::vector<char> chunk(1 << 20);
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions) != 3 || permissions[0] != 'r' ||
        permissions[1] != 'w')
      continue;
    for (unsigned long at = begin; at < end; at += chunk.size() - masked.size()) {
      const ssize_t got =
          ::pread(memory, chunk.data(), std::min<unsigned long>(chunk.size(), end - at), static_cast<off_t>(at));
      if (got <= 0) break;
      for (ssize_t i = 0; i + static_cast<ssize_t>(masked.size()) <= got; ++i) {
        if (chunk[i] != 's') continue;
        found += std::equal(masked.begin(), masked.end(), chunk.begin() + i,
                            [&](char m, char c) { return (m ^ mask) == c; });
      }
      std::ranges::fill(chunk, 0);
    }
  }
  ::close(memory);
  return found;
}

TEST_F(AdminTest, ANewKeyIsNowhereInMemoryOnceItHasBeenSent) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory on purpose";
#endif
  constexpr char kMask = 0x5a;
  std::array<char, 43> masked{};
  for (const std::string target : {"/keys", "/pairings"}) {
    const std::string body =
        target == "/keys" ? R"({"tenant":"acme","user":"ada","create":true})" : R"({"any_model":true})";
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    gateway.socket.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string request = "POST " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body;
    ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    static std::array<char, 8192> answer;
    std::size_t size = 0;
    for (ssize_t got; (got = ::recv(fd, answer.data() + size, answer.size() - size, 0)) > 0;)
      size += static_cast<std::size_t>(got);
    ::close(fd);
    gateway.on_control([] {});  // the connection's coroutine has ended
    const std::string_view text(answer.data(), size);
    const std::size_t at = text.find(target == "/keys" ? identity::kApiKeyPrefix : identity::kPairingKeyPrefix);
    ASSERT_NE(at, std::string_view::npos) << target;
    std::transform(answer.begin() + at, answer.begin() + at + 43, masked.begin(),
                   [](char c) { return static_cast<char>(c ^ kMask); });
    EXPECT_EQ(copies_in_memory(masked, kMask), 1u) << "the copy that was received is found";
    wipe(answer.data(), answer.size());
    EXPECT_EQ(copies_in_memory(masked, kMask), 0u) << target;
  }
}

TEST(AdminClient, SaysWhatToDoWhenNobodyAnswers) {
  Scratch scratch;
  const auto answer = cli::call_admin({.path = scratch.file("none.sock"), .said_by = "the test"}, "GET", "/status",
                                      nullptr, std::chrono::seconds(10));
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(answer.status().message()).find("sluice serve"), std::string::npos);
}

}  // namespace
}  // namespace sluice::admin
