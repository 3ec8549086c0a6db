// An admin server over a real Unix socket on a thread of its own, with a real store, and a gateway that only remembers
// what it was told.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>

#include "admin/server.h"
#include "base/manual_clock.h"
#include "cli/client.h"
#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::admin {

struct FakeGateway final : GatewayControl {
  json::object status() override { return {{"state", "running"}, {"version", "test"}}; }
  json::array models() override { return {json::object{{"name", "qwen"}, {"state", "unreachable"}}}; }
  json::object route(const std::string& model) override {
    return model == "qwen" ? json::object{{"model", model}} : json::object();
  }
  json::array explain_route(const identity::Key&, const std::string& model) override {
    return {json::object{{"decision", "model"}, {"outcome", model}}};
  }
  json::object agent(const std::string& id) override {
    return id == connected ? json::object{{"tunnels", 2}} : json::object();
  }
  std::string metrics() override { return "sluice_up 1\n"; }
  absl::StatusOr<std::vector<std::string>> reload() override { return reloaded; }
  absl::Status drain() override {
    drained = true;
    return absl::OkStatus();
  }
  Task<absl::StatusOr<json::object>> backup(std::string file) override { co_return json::object{{"file", file}}; }
  absl::Status use_secrets() override {
    ++secrets_used;
    return absl::OkStatus();
  }
  void cut_agent(const std::string& id) override { cut = id; }

  absl::StatusOr<std::vector<std::string>> reloaded = std::vector<std::string>();
  bool drained = false;
  int secrets_used = 0;
  std::string connected, cut;
};

class RunningGateway {
 public:
  RunningGateway() : ca_(*identity::GatewayCa::open(scratch.path())) {
    EXPECT_TRUE(accounts.load().ok());
    directory.loaded();
    accounts.set_models([](std::string_view) { return std::optional<std::uint32_t>(); });
    EXPECT_TRUE(agents.load().ok());
    EXPECT_TRUE(server.listen(socket).ok());
    server.use_metrics(*server.open_metrics("127.0.0.1:0"));
    server.start();
    thread_ = std::thread([this] { loop.io().run(); });
  }
  ~RunningGateway() {
    loop.post([this] { tasks.spawn(server.stop()); });
    thread_.join();
  }

  // Runs `work` on the control thread and waits for it.
  template <class Work>
  void on_control(Work work) {
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  cli::ClientAnswer call(std::string_view method, std::string_view target, const json::object& body = {}) {
    const auto answer = cli::call_admin({.path = socket, .said_by = "the test"}, method, target,
                                        body.empty() ? nullptr : &body, std::chrono::seconds(10));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : cli::ClientAnswer{};
  }
  json::value good(std::string_view method, std::string_view target, const json::object& body = {}) {
    const cli::ClientAnswer answer = call(method, target, body);
    EXPECT_EQ(answer.status, 200u) << method << " " << target << ": " << answer.body;
    return json::parse(answer.body);
  }
  std::string error(unsigned status, std::string_view method, std::string_view target, const json::object& body = {}) {
    const cli::ClientAnswer answer = call(method, target, body);
    EXPECT_EQ(answer.status, status) << method << " " << target << ": " << answer.body;
    return std::string(text_of(json::parse(answer.body).as_object(), "error"));
  }

  Scratch scratch;
  const std::string socket = scratch.file("admin.sock");
  ManualClock clock;
  net::Loop loop;
  observe::Log log{{}};
  std::unique_ptr<store::Store> store = *store::open_sqlite(scratch.file("sluice.db"));
  identity::KeyDirectory directory;
  identity::AgentBook book;
  ledger::Ledger ledger{clock, {}};
  Accounts accounts{*store, directory, ledger, clock};
  Secrets secrets{*store, clock};

 private:
  identity::GatewayCa ca_;

 public:
  Agents agents{*store, book, ca_, clock, {}};
  FakeGateway gateway;
  StoreThread store_thread{loop, store::make_sqlite_reader(scratch.file("sluice.db"))};
  AdminServer server{loop, {accounts, agents, *store, directory, book, gateway, clock, store_thread, secrets}, log};
  net::TaskGroup tasks{loop, [](const char* what) { ADD_FAILURE() << what; }};

 private:
  std::thread thread_;
};

inline std::string text(const json::value& object, std::string_view name) {
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

}  // namespace sluice::admin
