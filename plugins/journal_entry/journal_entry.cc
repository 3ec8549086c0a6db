#include "plugins/journal_entry/journal_entry.h"

#include "plugins/audit/record.h"

namespace sluice::plugins {
namespace {

constexpr std::int64_t kProgressNs = 1'000'000'000;  // how far a stream is, once a second

class JournalEntry final : public policy::Policy {
 public:
  JournalEntry(const PluginServices& services, Ends ends)
      : ledger_(services.ledger), journal_(*services.journal), boot_id_(services.boot_id), ends_(ends) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "journal"; }

  [[nodiscard]] policy::Decision admit(policy::Call& call) noexcept override {
    ledger::Ticket& ticket = call.ticket;
    if (ticket.day_us == 0) ticket.day_us = ledger_.day_us();  // no budget was asked
    const auto admission =
        journal_.admit({.number = call.number,
                        .day_us = ticket.day_us,
                        .began_us = call.began.time_since_epoch().count(),
                        .tenant_id = call.caller.tenant_id,
                        .user_id = call.caller.user_id,
                        .key_id = call.caller.key_id,
                        .prompt_estimate = call.prompt_estimate,
                        .reserved_output = ticket.reserved_output,
                        .price = ledger::in_tier(ticket.price, call.prompt_estimate, ticket.price_class),
                        .stream = call.stream && !call.background,
                        .model = call.model,
                        .request_id = call.request_id});
    call.entry.admit_segment = admission.segment;
    if (call.stream) call.entry.next_progress_ns = ledger::to_ns(ledger_.clock().mono()) + kProgressNs;
    if (admission.outcome != journal::Journal::Admission::Outcome::kNoRoom) return policy::Decision::go_on();
    policy::Decision decision;
    decision.verdict = policy::Verdict::kRefuse;
    decision.error = self_error(ErrorKind::kUnavailable, "the usage journal has no room");
    decision.message =
        "This gateway cannot account for calls at the moment: its journal's disk is full. Try again later.";
    decision.retry_after = std::chrono::milliseconds(5'000);
    return decision;
  }

  [[nodiscard]] policy::Extension progress(policy::Call& call, std::uint64_t completion_tokens) noexcept override {
    journal::Entry& entry = call.entry;
    if (entry.admit_segment == 0) return policy::Extension::kGranted;
    const std::int64_t now = ledger::to_ns(ledger_.clock().mono());
    if (now >= entry.next_progress_ns) {
      entry.next_progress_ns = now + kProgressNs;
      journal_.progress(call.number, entry.admit_segment, completion_tokens);
    }
    return policy::Extension::kGranted;
  }

  void record(const policy::Call& call, const policy::Outcome& outcome) noexcept override {
    if (ends_ == Ends::kByJournal && call.entry.admit_segment != 0)
      journal_.record(make_record(call, outcome, boot_id_));
  }

 private:
  ledger::Ledger& ledger_;
  journal::Journal& journal_;
  const std::uint64_t boot_id_;
  const Ends ends_;
};

}  // namespace

std::unique_ptr<policy::Policy> make_journal_entry(const PluginServices& services, Ends ends) {
  return std::make_unique<JournalEntry>(services, ends);
}

}  // namespace sluice::plugins
