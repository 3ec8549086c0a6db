#include <algorithm>

#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

#define AUDIT_COLUMNS                                                                                                     \
  "boot_id, number, request_id, began_us, tenant_id, tenant, user_id, user, key_id, channel, endpoint, model, model_served," \
  " upstream, status, end_reason, stream, usage_source, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens," \
  " cost_micros, ttft_us, duration_us, bytes_in, bytes_out, client_ip, labels"

void bind_record(Statement& add, const ledger::AuditRecord& r) {
  add.bind(r.boot_id, r.number, r.request_id.view(), r.began, r.tenant_id, r.tenant.view(), r.user_id, r.user.view(), r.key_id,
           r.channel.view(), r.endpoint.view(), r.model.view(), r.model_served.view(), r.upstream.view(), r.status,
           static_cast<int>(r.end_reason), r.stream, static_cast<int>(r.usage.source), r.usage.prompt_tokens,
           r.usage.cached_tokens, r.usage.completion_tokens, r.usage.reasoning_tokens, r.cost_micros, r.ttft.count(),
           r.duration.count(), r.bytes_in, r.bytes_out, r.client_ip.view(), r.labels.view());
}

ledger::AuditRecord read_record(const Statement& row) {
  using std::chrono::microseconds;
  ledger::AuditRecord r;
  r.boot_id = row.count(0);
  r.number = row.count(1);
  r.request_id = row.text(2);
  r.began = row.time(3);
  r.tenant_id = row.count(4);
  r.tenant = row.text(5);
  r.user_id = row.count(6);
  r.user = row.text(7);
  r.key_id = row.count(8);
  r.channel = row.text(9);
  r.endpoint = row.text(10);
  r.model = row.text(11);
  r.model_served = row.text(12);
  r.upstream = row.text(13);
  r.status = static_cast<std::uint16_t>(row.number(14));
  r.end_reason = static_cast<EndReason>(row.number(15));
  r.stream = row.number(16) != 0;
  r.usage = {.source = static_cast<UsageSource>(row.number(17)), .prompt_tokens = row.count(18), .cached_tokens = row.count(19),
             .completion_tokens = row.count(20), .reasoning_tokens = row.count(21)};
  r.cost_micros = row.count(22);
  r.ttft = microseconds(row.number(23));
  r.duration = microseconds(row.number(24));
  r.bytes_in = row.count(25);
  r.bytes_out = row.count(26);
  r.client_ip = row.text(27);
  r.labels = row.text(28);
  return r;
}
constexpr int kRowColumn = 29;

}  // namespace

absl::StatusOr<std::size_t> SqliteStore::append_audit(std::span<const ledger::AuditRecord> records) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement add(database_, "INSERT INTO audit (" AUDIT_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                           " ON CONFLICT (boot_id, number) DO NOTHING");
  std::size_t added = 0;
  for (const ledger::AuditRecord& record : records) {
    bind_record(add, record);
    if (absl::Status done = add.run(); !done.ok()) return done;
    added += database_.changes();
    add.rewind();
  }
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return added;
}

absl::StatusOr<AuditPage> SqliteStore::audit(const AuditFilter& filter, const AuditPlace& after, std::size_t limit) {
  static constexpr std::string_view kSql =
      "SELECT " AUDIT_COLUMNS ", seq FROM audit WHERE (began_us, seq) > (?1, ?2) AND (?3 IS NULL OR began_us < ?3)"
      " AND (?4 = '' OR tenant = ?4) AND (?5 = '' OR user = ?5) AND (?6 = '' OR ?6 IN (model, model_served))"
      " ORDER BY began_us, seq LIMIT ?7";
  AuditPlace from = after;
  if (filter.from && *filter.from > from.began) from = {.began = *filter.from, .row = -1};
  Statement rows(database_, kSql);
  rows.bind(from.began, from.row, filter.to, filter.tenant, filter.user, filter.model, limit);
  AuditPage page{.records = {}, .end = after};
  while (rows.next()) {
    page.records.push_back(read_record(rows));
    page.end = {.began = page.records.back().began, .row = rows.number(kRowColumn)};
  }
  if (!rows.status().ok()) return rows.status();
  return page;
}

absl::StatusOr<std::size_t> SqliteStore::prune_audit(WallTime before, std::size_t limit) {
  Statement prune(database_, "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE began_us < ? ORDER BY began_us LIMIT ?)");
  if (absl::Status done = prune.bind(before, limit).run(); !done.ok()) return done;
  return database_.changes();
}

absl::Status SqliteStore::add_seal(const SealRecord& seal) {
  Statement add(database_, "INSERT INTO seals (boot_id, segment, seal, made_us) VALUES (?,?,?,?)");
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(seal.seal.data()), seal.seal.size());
  return add.bind(seal.boot_id, seal.segment, bytes, seal.made).run();
}

absl::StatusOr<std::vector<SealRecord>> SqliteStore::seals() {
  Statement all(database_, "SELECT boot_id, segment, seal, made_us FROM seals ORDER BY made_us, segment");
  std::vector<SealRecord> seals;
  while (all.next())
    seals.push_back({.boot_id = all.count(0), .segment = all.count(1), .seal = std::string(all.text(2)), .made = all.time(3)});
  if (!all.status().ok()) return all.status();
  return seals;
}

}  // namespace sluice::store
