#include "plugins/audit/audit.h"

#include "plugins/audit/record.h"

namespace sluice::plugins {
namespace {

class Audit final : public policy::Policy {
 public:
  Audit(ledger::Ledger& ledger, journal::AuditSink& sink, std::uint64_t boot_id)
      : ledger_(ledger), sink_(sink), boot_id_(boot_id) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "audit"; }
  [[nodiscard]] policy::Decision admit(policy::Call&) noexcept override { return policy::Decision::go_on(); }

  void record(const policy::Call& call, const policy::Outcome& outcome) noexcept override {
    journal::AuditRecord record = make_record(call, outcome, boot_id_);
    if (record.day_us == 0) record.day_us = ledger_.day_us();  // no budget was asked
    sink_.record(std::move(record));
  }

 private:
  ledger::Ledger& ledger_;
  journal::AuditSink& sink_;
  const std::uint64_t boot_id_;
};

}  // namespace

std::unique_ptr<policy::Policy> make_audit(const PluginServices& services) {
  return std::make_unique<Audit>(services.ledger, services.audit, services.boot_id);
}

}  // namespace sluice::plugins
