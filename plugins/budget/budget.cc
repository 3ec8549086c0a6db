#include "plugins/budget/budget.h"

#include "plugins/scopes.h"

namespace sluice::plugins {
namespace {

class BudgetHold final : public policy::Policy {
 public:
  explicit BudgetHold(ledger::Ledger& ledger) : ledger_(ledger) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "budget"; }

  [[nodiscard]] policy::Decision admit(policy::Call& call) noexcept override {
    const ledger::Grant grant = ledger_.reserve(call.ticket, scopes_of(call),
                                                {.prompt = call.prompt_estimate,
                                                 .output_cap = call.output_cap,
                                                 .choices = call.choices,
                                                 .streamed = call.stream && !call.background,
                                                 .cap_given = call.output_cap_given,
                                                 .price_class = call.price_class});
    if (!grant.refusal.refused()) {
      call.clamp_output_to = grant.clamp_output_to;
      return policy::Decision::go_on();
    }
    if (grant.refusal.kind == RefusalKind::kSpent) {
      return refuse(grant.refusal, ErrorKind::kQuotaExceeded);
    }
    return refuse(grant.refusal, ErrorKind::kRateLimited);
  }

  [[nodiscard]] policy::Extension progress(policy::Call& call, std::uint64_t completion_tokens) noexcept override {
    return ledger_.extend(call.ticket, completion_tokens) == ledger::Extended::kGranted ? policy::Extension::kGranted
                                                                                        : policy::Extension::kCut;
  }

  void finish(policy::Call& call, const policy::Outcome& outcome) noexcept override {
    ledger_.settle(call.ticket, outcome.usage);
  }

 private:
  ledger::Ledger& ledger_;
};

}  // namespace

std::unique_ptr<policy::Policy> make_budget(const PluginServices& services) {
  return std::make_unique<BudgetHold>(services.ledger);
}

}  // namespace sluice::plugins
