#include "journal/usage_store.h"

namespace sluice::journal {

std::optional<ledger::UsageSum> share_of(const ledger::UsageQuery& query, const AuditRecord& record) {
  ledger::UsageSum share;
  share.scope = *query.scope;
  share.tokens = record.usage.total();
  share.cost_micros = record.cost_micros;
  switch (share.scope) {
    case Scope::kKey:
      share.id = record.key_id;
      break;
    case Scope::kUser:
    case Scope::kUserModel:
      share.id = record.user_id;
      break;
    case Scope::kTenant:
      share.id = record.tenant_id;
      break;
    case Scope::kModel:
      break;
  }
  if (share.scope == Scope::kModel || share.scope == Scope::kUserModel) share.model = record.model.view();
  const bool covered = query.when.contains(record.day_us) && (query.id == 0 || query.id == share.id) &&
                       (query.model.empty() || query.model == share.model);
  return covered ? std::optional(std::move(share)) : std::nullopt;
}

}  // namespace sluice::journal
