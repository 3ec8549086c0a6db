#include "plugins/fixture.h"

namespace sluice::plugins {
namespace {

class AuditPolicy : public PolicyTest {};

TEST_F(AuditPolicy, WritesWhatIsKnownOfACall) {
  chain_of({"budget", "audit"});
  ledger.set_model(0, "m",
                   {.limits = {},
                    .budgets = {},
                    .user_budgets = {},
                    .price = {.prompt = 1'000'000, .cached = 0, .completion = 2'000'000, .reasoning = 2'000'000}});
  const std::vector<std::pair<std::string, std::string>> labels{{"team", "a\"b"}, {"run", "7"}};
  policy::Call call;
  fill(call);
  call.labels = labels;
  call.client_request_id = "mine-1";
  call.began = clock.wall();
  ASSERT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
  policy::Outcome outcome = completed(10, 20);
  outcome.model_served = "m-1";
  outcome.upstream = "gpu-1";
  outcome.ttft = std::chrono::microseconds(5);
  outcome.bytes_out = 99;
  finish(call, outcome);
  ASSERT_EQ(records.all.size(), 1u);
  const journal::AuditRecord& record = records.all[0];
  EXPECT_EQ(record.boot_id, 5u);
  EXPECT_EQ(record.number, 7u);
  EXPECT_EQ(record.request_id, "req_1");
  EXPECT_EQ(record.tenant, "acme");
  EXPECT_EQ(record.user, "ada");
  EXPECT_EQ(record.key_id, 11u);
  EXPECT_EQ(record.endpoint, "chat.completions");
  EXPECT_EQ(record.model, "m");
  EXPECT_EQ(record.model_served, "m-1");
  EXPECT_EQ(record.upstream, "gpu-1");
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.cost_micros, 50u);
  EXPECT_EQ(record.labels, R"({"team":"a\"b","run":"7"})");
  EXPECT_EQ(record.client_request_id, "mine-1");
  EXPECT_EQ(record.bytes_out, 99u);
  EXPECT_EQ(record.day_us, ledger.day_us());
  EXPECT_LE(record.day_us, clock.wall().time_since_epoch().count());
}

TEST_F(AuditPolicy, RecordsARefusalToo) {
  chain_of({"model_access", "audit"});
  const std::vector<std::string> allowed{"a"};
  policy::Call call;
  fill(call);
  call.caller.allowed_models = allowed;
  ASSERT_EQ(admit(call).verdict, policy::Verdict::kRefuse);
  policy::Outcome outcome;
  outcome.reason = EndReason::kRefused;
  outcome.status = 404;
  finish(call, outcome);
  ASSERT_EQ(records.all.size(), 1u);
  EXPECT_EQ(records.all[0].end_reason, EndReason::kRefused);
  EXPECT_NE(records.all[0].day_us, 0);
}

TEST_F(AuditPolicy, LabelsThatDoNotFitAreLeftOutWhole) {
  chain_of({"audit"});
  const std::vector<std::pair<std::string, std::string>> labels{
      {"a", std::string(900, 'x')}, {"b", std::string(200, 'y')}, {"c", "\n"}};
  policy::Call call;
  fill(call);
  call.labels = labels;
  ASSERT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
  finish(call, {});
  EXPECT_EQ(records.all[0].labels, R"({"a":")" + std::string(900, 'x') + R"(","c":"\u000a"})");
}

TEST(Registry, NamesWhatIsWrong) {
  ManualClock clock;
  ledger::Ledger ledger(clock, {});
  Records records;
  const PluginServices services{.ledger = ledger, .audit = records, .boot_id = 1};
  const std::vector<std::string> unknown{"rate_limt"}, twice{"audit", "audit"};
  EXPECT_NE(make_chain(unknown, services).status().message().find("there are model_access, rate_limit, budget, audit"),
            absl::string_view::npos);
  EXPECT_EQ(make_chain(twice, services).status().message(), "policy 'audit' is listed twice");
  EXPECT_EQ(rows().size(), 4u);
}

}  // namespace
}  // namespace sluice::plugins
