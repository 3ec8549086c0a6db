// A call, a ledger and a sink for the tests of single policies.
#pragma once

#include <gtest/gtest.h>

#include "base/manual_clock.h"
#include "plugins/registry.h"

namespace sluice::plugins {

struct Records final : journal::AuditSink {
  void record(journal::AuditRecord&& record) noexcept override { all.push_back(record); }
  std::vector<journal::AuditRecord> all;
};

class PolicyTest : public ::testing::Test {
 protected:
  // A chain of these policies, and one call through it.
  void chain_of(std::vector<std::string> names) {
    auto made = make_chain(names, services);
    ASSERT_TRUE(made.ok()) << made.status();
    chain = *std::move(made);
  }
  policy::Decision admit(policy::Call& call) { return chain->admit(call, admitted); }
  void finish(policy::Call& call, const policy::Outcome& outcome) {
    chain->finish(call, outcome, admitted);
    chain->record(call, outcome);
  }
  static void fill(policy::Call& call) {
    call.request_id = "req_1";
    call.number = 7;
    call.caller.tenant_id = 31, call.caller.user_id = 21, call.caller.key_id = 11;
    call.caller.tenant = "acme", call.caller.user = "ada";
    call.endpoint = "chat.completions";
    call.channel = "api";
    call.model = "m";
    call.prompt_estimate = 100;
    call.output_cap = 1'000;
    call.output_cap_given = true;
  }
  static policy::Outcome completed(std::uint64_t prompt, std::uint64_t completion) {
    policy::Outcome outcome;
    outcome.reason = EndReason::kCompleted;
    outcome.status = 200;
    outcome.usage = {.source = UsageSource::kMeasured, .prompt_tokens = prompt, .completion_tokens = completion};
    return outcome;
  }
  void key_held_to(const LimitSpec& limits, const std::vector<BudgetSpec>& budgets) {
    ledger.set_scope(Scope::kKey, 0, 11, "", limits, budgets);
  }

  ManualClock clock;
  ledger::Ledger ledger{clock, {}};
  Records records;
  PluginServices services{.ledger = ledger, .audit = records, .boot_id = 5};
  std::unique_ptr<policy::Chain> chain;
  std::size_t admitted = 0;
};

}  // namespace sluice::plugins
