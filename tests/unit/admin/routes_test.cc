// What the admin API makes and changes, and that it holds at once and after a restart.
#include "identity/secret_key.h"
#include "store/sqlite.h"
#include "unit/admin/running_gateway.h"

namespace sluice::admin {
namespace {

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

}  // namespace
}  // namespace sluice::admin
