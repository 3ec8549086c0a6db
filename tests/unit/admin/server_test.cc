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

std::string text(const json::value& object, std::string_view name) {
  return std::string(text_of(object.as_object(), name));
}

struct AdminTest : testing::Test {
  json::value make_key(json::object more = {}) {
    json::object body{{"tenant", "acme"}, {"user", "ada"}, {"create", true}};
    for (auto& member : more) body.insert_or_assign(member.key(), member.value());
    return gateway.good("POST", "/keys", body);
  }
  bool admits(std::string_view key) { return gateway.directory.find(key, gateway.clock.wall()).has_value(); }

  RunningGateway gateway;
};

TEST_F(AdminTest, OnlyTheOwnerMayOpenTheSocket) {
  struct stat info {};
  ASSERT_EQ(::stat(gateway.socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AdminTest, ACreatedKeyWorksAtOnceAndIsShownOnce) {
  const json::value made = make_key({{"models", {"qwen"}},
                                     {"expires", "30d"},
                                     {"limits", {{"rpm", 60}, {"concurrency", 4}}},
                                     {"budgets", {"tokens:1000/month"}}});
  const std::string key = text(made, "key");
  EXPECT_EQ(identity::check_form(key, identity::kApiKeyPrefix), identity::SecretForm::kGood);
  const auto found = gateway.directory.find(key, gateway.clock.wall());
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE((*found)->may_use("qwen"));
  EXPECT_FALSE((*found)->may_use("llama"));
  EXPECT_EQ((*found)->limits().requests_per_minute, 60u);
  EXPECT_EQ((*found)->budgets().at(0).amount, 1000u);
  const WallTime end = gateway.clock.wall() + std::chrono::hours(24 * 30);
  EXPECT_TRUE((*found)->live(end - std::chrono::microseconds(1)));
  EXPECT_FALSE((*found)->live(end));
  const std::string shown = gateway.call("GET", "/keys/" + text(made, "id")).body;
  EXPECT_EQ(shown.find(key), std::string::npos);
  EXPECT_NE(shown.find("tokens:1000/month"), std::string::npos);
}

TEST_F(AdminTest, RevokingReturnsWhenTheDirectoryRefuses) {
  const json::value first = make_key(), second = make_key();
  gateway.good("DELETE", "/keys/" + text(first, "id"));
  EXPECT_FALSE(admits(text(first, "key")));
  EXPECT_TRUE(admits(text(second, "key")));
  gateway.good("DELETE", "/tenants/acme");
  EXPECT_FALSE(admits(text(second, "key")));
  const json::value shown = gateway.good("GET", "/tenants/acme");
  EXPECT_FALSE(shown.at("revoked").is_null());
  // The name is free again; the old keys stay dead.
  EXPECT_TRUE(admits(text(make_key(), "key")));
  EXPECT_FALSE(admits(text(second, "key")));
}

TEST_F(AdminTest, WhatHasChangedHoldsAfterARestart) {
  const json::value kept = make_key({{"limits", {{"rpm", 7}}}, {"budgets", {"usd:5/day"}}}), gone = make_key();
  gateway.good("DELETE", "/keys/" + text(gone, "id"));
  gateway.good("PUT", "/budgets",
               {{"tenant", "acme"}, {"user", "ada"}, {"model", "qwen"}, {"budget", "tokens:9/total"}});
  identity::KeyDirectory fresh;
  ledger::Ledger ledger(gateway.clock, {});
  gateway.on_control([&] {
    Accounts again(*gateway.store, fresh, ledger, gateway.clock);
    EXPECT_TRUE(again.load().ok());
    EXPECT_TRUE(again.load().ok()) << "a second load changes nothing";
  });
  fresh.loaded();
  EXPECT_EQ(fresh.keys(), 2u);
  const auto key = fresh.find(text(kept, "key"), gateway.clock.wall());
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ((*key)->limits().requests_per_minute, 7u);
  EXPECT_EQ((*key)->budgets().at(0).unit, BudgetUnit::kMicroUsd);
  EXPECT_EQ((*key)->user->model_budgets().at(0).model, "qwen");
  EXPECT_FALSE(fresh.find(text(gone, "key"), gateway.clock.wall()).has_value());
}

TEST_F(AdminTest, LimitsAreChangedOneByOneAndLifted) {
  make_key();
  const auto limits = [&](json::object body) {
    return gateway.good("PATCH", "/users/ada?tenant=acme", {{"limits", std::move(body)}}).at("limits");
  };
  limits({{"rpm", 10}, {"tpm", 2000}});
  const json::value now = limits({{"rpm", nullptr}, {"concurrency", 3}});
  EXPECT_TRUE(now.at("rpm").is_null());
  EXPECT_EQ(now.at("tpm").to_number<int>(), 2000);
  EXPECT_EQ(now.at("concurrency").to_number<int>(), 3);
  EXPECT_EQ(gateway.directory.user(1)->limits().tokens_per_minute, 2000u);
}

TEST_F(AdminTest, BudgetsAreSetListedAndLifted) {
  make_key();
  gateway.good("PUT", "/budgets", {{"tenant", "acme"}, {"user", "ada"}, {"budget", "tokens:100/month"}});
  gateway.good("PUT", "/budgets", {{"tenant", "acme"}, {"user", "ada"}, {"budget", "tokens:200/month"}});
  gateway.good("PUT", "/budgets", {{"tenant", "acme"}, {"budget", "usd:1.5/day soft"}});
  const json::value all = gateway.good("GET", "/budgets");
  ASSERT_EQ(all.as_array().size(), 2u);
  EXPECT_EQ(gateway.directory.user(1)->budgets().at(0).amount, 200u);
  for (const json::value& one : all.as_array()) {
    EXPECT_EQ(one.at("reserved").to_number<int>(), 0);
    EXPECT_EQ(one.at("left"), one.at("amount"));
    EXPECT_EQ(text(one, "tenant"), "acme");
  }
  gateway.good("DELETE", "/budgets", {{"tenant", "acme"}, {"user", "ada"}, {"budget", "tokens:0/month"}});
  EXPECT_TRUE(gateway.directory.user(1)->budgets().empty());
  EXPECT_NE(
      gateway.error(404, "DELETE", "/budgets", {{"tenant", "acme"}, {"budget", "tokens:0/month"}}).find("budget list"),
      std::string::npos);
  EXPECT_NE(gateway.error(400, "PUT", "/budgets", {{"budget", "tokens:0/month"}}).find("whose"), std::string::npos);
  EXPECT_NE(gateway.error(400, "PUT", "/budgets", {{"tenant", "acme"}, {"model", "m"}, {"budget", "tokens:0/month"}})
                .find("conf file"),
            std::string::npos);
}

TEST_F(AdminTest, WhatIsWrongIsSaidInOneLine) {
  const auto said = [&](unsigned status, std::string_view method, std::string_view target, const json::object& body,
                        std::string_view part) {
    const std::string error = gateway.error(status, method, target, body);
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  };
  said(404, "POST", "/keys", {{"tenant", "nobody"}, {"user", "x"}}, "--create");
  said(404, "GET", "/tenants/nobody", {}, "sluice tenant list");
  said(404, "GET", "/keys/key_99", {}, "no key key_99");
  said(400, "GET", "/keys/99", {}, "such as key_12");
  said(404, "GET", "/nonsense", {}, "has no GET /nonsense");
  said(404, "PUT", "/tenants", {}, "has no PUT /tenants");
  said(400, "POST", "/tenants", {{"name", "a\nb"}}, "control character");
  said(400, "POST", "/tenants", {{"name", ""}}, "is missing");
  said(400, "POST", "/tenants", {{"name", "tenant_7"}}, "looks like an id");
  said(400, "POST", "/tenants", {{"name", 7}}, "must be a text");
  said(400, "POST", "/tenants", {{"name", "x"}, {"colour", "red"}}, "colour is not known");
  said(400, "POST", "/tenants", {{"name", "x"}, {"limits", {{"rpm", 0}}}}, "at least 1");
  said(400, "POST", "/tenants", {{"name", "x"}, {"limits", {{"rpm", "ten"}}}}, "at least 1");
  said(400, "POST", "/tenants", {{"name", "x"}, {"budgets", {"lots"}}}, "tokens:");
  said(400, "POST", "/keys", {{"tenant", "t"}, {"user", "u"}, {"expires", "soon"}}, "30d");
  said(400, "POST", "/keys", {{"tenant", "t"}, {"user", "u"}, {"create", true}, {"expires", "2001-01-01"}},
       "expired already");
  gateway.good("POST", "/tenants", {{"name", "acme"}});
  said(409, "POST", "/tenants", {{"name", "acme"}}, "exists already");
  said(400, "GET", "/audit?format=xml", {}, "csv or jsonl");
  said(400, "POST", "/pairings", {}, "--any-model");
  said(400, "POST", "/pairings", {{"any_model", true}, {"models", json::array{"m"}}}, "--any-model");
  said(404, "POST", "/pairings", {{"any_model", true}, {"tenants", json::array{"nobody"}}}, "nobody");
  gateway.gateway.reloaded = absl::InvalidArgumentError("sluice.toml:3:1: no");
  said(400, "POST", "/reload", {}, "sluice.toml:3:1");
}

TEST_F(AdminTest, AnAgentIsPairedOnceRenewedAndRevoked) {
  const std::string key = text(gateway.good("POST", "/pairings", {{"any_model", true}}), "key");
  const auto request = *net::create_request("gpu");
  std::string id;
  gateway.on_control([&] {
    EXPECT_EQ(gateway.agents.pair(key, "nonsense", "gpu1").status().code(), absl::StatusCode::kInvalidArgument)
        << "does not consume the key";
    const auto paired = gateway.agents.pair(key, request.request, "gpu1");
    ASSERT_TRUE(paired.ok()) << paired.status();
    id = paired->agent_id;
    EXPECT_EQ(net::read_certificate(paired->certificate)->common_name, id);
    EXPECT_EQ(gateway.agents.pair(key, request.request, "gpu2").status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_TRUE(gateway.agents.renew(id, request.request).ok());
    EXPECT_EQ(gateway.agents.renew("agent_0000000000000001", request.request).status().code(),
              absl::StatusCode::kPermissionDenied);
  });
  gateway.gateway.connected = id;
  EXPECT_EQ(text(gateway.good("GET", "/agents").as_array().at(0), "state"), "connected");
  gateway.good("DELETE", "/agents/" + id);
  EXPECT_EQ(gateway.gateway.cut, id);
  EXPECT_EQ(text(gateway.good("GET", "/agents").as_array().at(0), "state"), "revoked");
  gateway.on_control([&] { EXPECT_FALSE(gateway.agents.renew(id, request.request).ok()); });
  gateway.error(404, "DELETE", "/agents/agent_0000000000000001");
}

TEST_F(AdminTest, AnAgentIsBoundAsItsPairingKeyIs) {
  gateway.good("POST", "/tenants", {{"name", "beta"}});
  const json::value made =
      gateway.good("POST", "/pairings", {{"models", json::array{"qwen", "llama"}}, {"tenants", json::array{"beta"}}});
  const auto request = *net::create_request("gpu");
  gateway.on_control([&] { EXPECT_TRUE(gateway.agents.pair(text(made, "key"), request.request, "gpu1").ok()); });
  const json::object agent = gateway.good("GET", "/agents").as_array().at(0).as_object();
  EXPECT_EQ(agent.at("may_serve"), (json::array{"llama", "qwen"}));
  EXPECT_EQ(agent.at("tenants"), json::array{"beta"});
  const identity::Agent in_book = gateway.book.all().at(0);
  EXPECT_TRUE(in_book.binding.allows("qwen"));
  EXPECT_FALSE(in_book.binding.allows("other"));
}

TEST_F(AdminTest, APairingKeyEndsAfterAQuarterOfAnHour) {
  const std::string key = text(gateway.good("POST", "/pairings", {{"any_model", true}}), "key");
  const auto request = *net::create_request("gpu");
  gateway.on_control([&] {
    gateway.clock.pass(std::chrono::minutes(15));
    EXPECT_EQ(gateway.agents.pair(key, request.request, "gpu1").status().code(), absl::StatusCode::kPermissionDenied);
  });
}

TEST_F(AdminTest, AuditIsStreamedWholeAndFiltered) {
  gateway.good("POST", "/tenants", {{"name", "acme"}});
  std::vector<journal::AuditRecord> records(1300);
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].boot_id = 1;
    records[i].number = i + 1;
    records[i].began = gateway.clock.wall();
    records[i].tenant = i % 100 == 0 ? "=cmd|' /C calc'!A0" : "acme";
    records[i].request_id = "req_" + std::to_string(i);
  }
  gateway.on_control([&] { EXPECT_TRUE(gateway.store->add(records).ok()); });
  const auto lines = [&](std::string_view query) {
    std::string all;
    const auto answer =
        cli::call_admin({.path = gateway.socket, .said_by = "the test"}, "GET", "/audit?format=" + std::string(query),
                        nullptr, std::chrono::seconds(10), [&](std::string_view part) { all += part; });
    EXPECT_TRUE(answer.ok()) << answer.status();
    return std::pair(std::ranges::count(all, '\n'), all);
  };
  EXPECT_EQ(lines("jsonl").first, 1300);
  const auto [rows, csv] = lines("csv");
  EXPECT_EQ(rows, 1301);
  EXPECT_EQ(csv.find(",=cmd"), std::string::npos) << "a formula";
  EXPECT_NE(csv.find(",\"'=cmd"), std::string::npos);
  EXPECT_EQ(lines("csv&tenant=acme").first, 1288);
  EXPECT_EQ(lines("jsonl&to=1h").first, 0);
  EXPECT_EQ(lines("jsonl&from=1h").first, 1300);
}

TEST_F(AdminTest, StatusDrainAndMetricsReachTheGateway) {
  const json::value status = gateway.good("GET", "/status");
  EXPECT_EQ(text(status, "state"), "running");
  EXPECT_EQ(text(status, "store"), "loaded");
  gateway.good("POST", "/drain");
  EXPECT_TRUE(gateway.gateway.drained);
  EXPECT_EQ(gateway.call("GET", "/metrics").body, "sluice_up 1\n");
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

TEST_F(AdminTest, AStoreThatIsLockedHoldsUpNobodyElse) {
  auto other = store::Database::open(gateway.scratch.file("sluice.db"), std::chrono::milliseconds(0));
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->exec("BEGIN EXCLUSIVE").ok());
  auto waits = std::async(std::launch::async, [&] { return make_key(); });
  for (int i = 0; i < 20; ++i) gateway.good("GET", "/status");
  EXPECT_EQ(waits.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  gateway.good("GET", "/keys");
  EXPECT_TRUE(gateway.call("GET", "/audit?format=csv").body.starts_with("time,")) << "an export, the first of all";
  ASSERT_TRUE(other->exec("ROLLBACK").ok());
  EXPECT_TRUE(admits(text(waits.get(), "key")));
}

TEST_F(AdminTest, AStoreThatStaysLockedIsSaidSoAndNothingHasChanged) {
  auto other = store::Database::open(gateway.scratch.file("sluice.db"), std::chrono::milliseconds(0));
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->exec("BEGIN EXCLUSIVE").ok());
  const std::string error = gateway.error(503, "POST", "/tenants", {{"name", "acme"}});
  EXPECT_NE(error.find("another program holds the store locked"), std::string::npos) << error;
  ASSERT_TRUE(other->exec("ROLLBACK").ok());
  EXPECT_TRUE(gateway.good("GET", "/tenants").as_array().empty());
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
