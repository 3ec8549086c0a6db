#include "plugins/rate_limit/rate_limit.h"

#include "plugins/scopes.h"

namespace sluice::plugins {
namespace {

class RateLimit final : public policy::Policy {
 public:
  explicit RateLimit(ledger::Ledger& ledger) : ledger_(ledger) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "rate_limit"; }

  [[nodiscard]] policy::Decision admit(policy::Call& call) noexcept override {
    const ledger::Refusal refusal = ledger_.take_limits(call.ticket, scopes_of(call), call.prompt_estimate);
    if (!refusal.refused()) return policy::Decision::go_on();
    return refuse(refusal, ErrorKind::kRateLimited);
  }

  [[nodiscard]] policy::Extension progress(policy::Call& call, std::uint64_t completion_tokens) noexcept override {
    ledger_.count_output(call.ticket, completion_tokens);  // debt delays later calls, never this one
    return policy::Extension::kGranted;
  }

  void finish(policy::Call& call, const policy::Outcome& outcome) noexcept override {
    ledger_.release_limits(call.ticket, outcome.usage);
  }

 private:
  ledger::Ledger& ledger_;
};

}  // namespace

std::unique_ptr<policy::Policy> make_rate_limit(const PluginServices& services) {
  return std::make_unique<RateLimit>(services.ledger);
}

}  // namespace sluice::plugins
