#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "base/background.h"
#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

#define AUDIT_COLUMNS                                                                                            \
  "boot_id, number, request_id, began_us, day_us, tenant_id, tenant, user_id, user, key_id, channel, endpoint, " \
  "model, model_served,"                                                                                         \
  " upstream, status, end_reason, stream, usage_source, prompt_tokens, cached_tokens, completion_tokens, "       \
  "reasoning_tokens,"                                                                                            \
  " cost_micros, ttft_us, duration_us, bytes_in, bytes_out, client_ip, labels, client_request_id,"               \
  " cache_write_tokens, audio_input_tokens, audio_output_tokens, images, seconds, characters, searches,"         \
  " upstream_cost_micros, price_tier, attempts, refused_kind, refused_scope, refused_unit, refused_period,"      \
  " cache_write_1h_tokens"

// The columns from cache_write_tokens on. Most calls have but one of them to say; a parameter is bound and copied for
// each record, and a constant is not.
#define RARE_COLUMNS_GIVEN "?32,?33,?34,?35,?36,?37,?38,?39,?40,?41,?42,?43,?44,?45,?46"
#define RARE_COLUMNS_UNSAID "0,0,0,0,0,0,0,-1,0,?32,0,0,0,0,0"  // ?32: attempts
static_assert(journal::kCostUnknown == -1 && static_cast<int>(RefusalKind::kNone) == 0 &&
              static_cast<int>(Scope::kKey) == 0 && static_cast<int>(BudgetUnit::kTokens) == 0 &&
              static_cast<int>(BudgetPeriod::kDay) == 0);

// A record whose texts were lost (its call was cut off by a crash, or the journal had no room for them) still has the
// ids of its callers, and the store knows their names.
#define NAME_OR_LOOK_UP(text, table, id) \
  "CASE " text " WHEN '' THEN coalesce((SELECT name FROM " table " WHERE id = " id "), '') ELSE " text " END"
#define INSERT_AUDIT(tenant, user, rare_columns)                                                           \
  "INSERT INTO audit (" AUDIT_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6," tenant ",?8," user                    \
  ",?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31," rare_columns \
  ") ON CONFLICT DO NOTHING"
constexpr char kInsertCommon[] = INSERT_AUDIT("?7", "?9", RARE_COLUMNS_UNSAID);
constexpr char kInsertRare[] =
    INSERT_AUDIT(NAME_OR_LOOK_UP("?7", "tenants", "?6"), NAME_OR_LOOK_UP("?9", "users", "?8"), RARE_COLUMNS_GIVEN);

[[nodiscard]] bool lost_names(const journal::AuditRecord& r) noexcept {
  return (r.tenant_id != 0 && r.tenant.view().empty()) || (r.user_id != 0 && r.user.view().empty());
}

[[nodiscard]] bool says_rare(const journal::AuditRecord& r) noexcept {
  const Usage& u = r.usage;
  const std::uint64_t usage = u.cache_write_tokens | u.audio_input_tokens | u.audio_output_tokens | u.images |
                              u.seconds | u.characters | u.searches;
  return usage != 0 || r.upstream_cost_micros != journal::kCostUnknown || r.price_tier != 0 ||
         r.refused_by != ledger::RefusedBy{} || lost_names(r);
}

// `rare`: what the statement takes behind the columns that every record has.
template <class... Rare>
void bind_common(Statement& add, const journal::AuditRecord& r, const Rare&... rare) {
  add.bind(r.boot_id, r.number, r.request_id.view(), r.began, r.day_us, r.tenant_id, r.tenant.view(), r.user_id,
           r.user.view(), r.key_id, r.channel.view(), r.endpoint.view(), r.model.view(), r.model_served.view(),
           r.upstream.view(), r.status, static_cast<int>(r.end_reason), r.stream, static_cast<int>(r.usage.source),
           r.usage.prompt_tokens, r.usage.cached_tokens, r.usage.completion_tokens, r.usage.reasoning_tokens,
           r.cost_micros, r.ttft.count(), r.duration.count(), r.bytes_in, r.bytes_out, r.client_ip.view(),
           r.labels.view(), r.client_request_id.view(), rare...);
}

void bind_rare(Statement& add, const journal::AuditRecord& r) {
  bind_common(add, r, r.usage.cache_write_tokens, r.usage.audio_input_tokens, r.usage.audio_output_tokens,
              r.usage.images, r.usage.seconds, r.usage.characters, r.usage.searches, r.upstream_cost_micros,
              r.price_tier, r.attempts, static_cast<int>(r.refused_by.kind), static_cast<int>(r.refused_by.scope),
              static_cast<int>(r.refused_by.unit), static_cast<int>(r.refused_by.period),
              r.usage.cache_write_1h_tokens);
}

journal::AuditRecord read_record(const Statement& row) {
  using std::chrono::microseconds;
  journal::AuditRecord r;
  r.boot_id = row.count(0);
  r.number = row.count(1);
  r.request_id = row.text(2);
  r.began = row.time(3);
  r.day_us = row.number(4);
  r.tenant_id = row.count(5);
  r.tenant = row.text(6);
  r.user_id = row.count(7);
  r.user = row.text(8);
  r.key_id = row.count(9);
  r.channel = row.text(10);
  r.endpoint = row.text(11);
  r.model = row.text(12);
  r.model_served = row.text(13);
  r.upstream = row.text(14);
  r.status = static_cast<std::uint16_t>(row.number(15));
  r.end_reason = static_cast<EndReason>(row.number(16));
  r.stream = row.number(17) != 0;
  r.usage = {.source = static_cast<UsageSource>(row.number(18)),
             .prompt_tokens = row.count(19),
             .cached_tokens = row.count(20),
             .completion_tokens = row.count(21),
             .reasoning_tokens = row.count(22),
             .cache_write_tokens = row.count(31),
             .cache_write_1h_tokens = row.count(45),
             .audio_input_tokens = row.count(32),
             .audio_output_tokens = row.count(33),
             .images = row.count(34),
             .seconds = row.count(35),
             .characters = row.count(36),
             .searches = row.count(37)};
  r.cost_micros = row.count(23);
  r.ttft = microseconds(row.number(24));
  r.duration = microseconds(row.number(25));
  r.bytes_in = row.count(26);
  r.bytes_out = row.count(27);
  r.client_ip = row.text(28);
  r.labels = row.text(29);
  r.client_request_id = row.text(30);
  r.upstream_cost_micros = row.number(38);
  r.price_tier = static_cast<std::uint8_t>(row.number(39));
  r.attempts = static_cast<std::uint8_t>(row.number(40));
  r.refused_by = {
      .kind = static_cast<RefusalKind>(row.number(41)),
      .scope = static_cast<Scope>(row.number(42)),
      .unit = static_cast<BudgetUnit>(row.number(43)),
      .period = static_cast<BudgetPeriod>(row.number(44)),
  };
  return r;
}

}  // namespace

absl::Status SqliteStore::add(std::span<const journal::AuditRecord> records) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement common(database_, kInsertCommon);
  std::optional<Statement> rare;  // prepared once a record needs it
  Statement count(database_,
                  "INSERT INTO usage_by_day (day_us, tenant_id, user_id, key_id, model, tokens, cost_micros)"
                  " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens,"
                  " cost_micros = cost_micros + excluded.cost_micros");
  // Summed here first: a batch has few users, and each change of a row costs as much as an insert.
  struct Used {
    std::uint64_t tokens = 0, cost_micros = 0;
  };
  std::map<std::tuple<std::int64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::string_view>, Used> used;
  for (const journal::AuditRecord& record : records) {
    give_way();
    const bool says = says_rare(record);
    if (says && !rare) rare.emplace(database_, kInsertRare);
    Statement& insert = says ? *rare : common;
    if (says) {
      bind_rare(insert, record);
    } else {
      bind_common(insert, record, record.attempts);
    }
    if (absl::Status done = insert.run(); !done.ok()) return done;
    const bool is_new = database_.changes() != 0;
    insert.rewind();
    if (!is_new || (record.usage.total() == 0 && record.cost_micros == 0)) continue;
    Used& sum = used[{record.day_us, record.tenant_id, record.user_id, record.key_id, record.model.view()}];
    sum.tokens += record.usage.total();
    sum.cost_micros += record.cost_micros;
  }
  for (const auto& [whose, sum] : used) {
    const auto& [day_us, tenant_id, user_id, key_id, model] = whose;
    count.bind(day_us, tenant_id, user_id, key_id, model, sum.tokens, sum.cost_micros);
    if (absl::Status done = count.run(); !done.ok()) return done;
    count.rewind();
  }
  return transaction.commit();
}

// One pass for each scope, summed by SQLite.
absl::StatusOr<std::vector<ledger::UsageSum>> SqliteStore::sums(const ledger::UsageQuery& query) {
  struct Grouping {
    Scope scope;
    const char* id;
    const char* model;
  };
  static constexpr Grouping kGroupings[] = {{Scope::kKey, "key_id", "''"},
                                            {Scope::kUser, "user_id", "''"},
                                            {Scope::kTenant, "tenant_id", "''"},
                                            {Scope::kModel, "0", "model"},
                                            {Scope::kUserModel, "user_id", "model"}};
  std::vector<ledger::UsageSum> sums;
  for (const Grouping& by : kGroupings) {
    if (query.scope && *query.scope != by.scope) continue;
    Statement rows(database_, std::string("SELECT ") + by.id + ", " + by.model +
                                  ", sum(tokens), sum(cost_micros) FROM usage_by_day WHERE day_us >= ?1 AND day_us < ?2"
                                  " AND (?3 = 0 OR ?3 = " +
                                  by.id + ") AND (?4 = '' OR ?4 = " + by.model + ") GROUP BY 1, 2");
    rows.bind(query.when.begin_us, query.when.end_us, query.id, query.model);
    while (rows.next())
      sums.push_back({.scope = by.scope,
                      .id = rows.count(0),
                      .model = std::string(rows.text(1)),
                      .tokens = rows.count(2),
                      .cost_micros = rows.count(3)});
    if (!rows.status().ok()) return rows.status();
  }
  return sums;
}

absl::StatusOr<AuditPage> SqliteStore::audit(const AuditFilter& filter, const AuditPlace& after, std::size_t limit) {
  static constexpr std::string_view kSql =
      "SELECT " AUDIT_COLUMNS
      " FROM audit WHERE (began_us, boot_id, number) > (?1, ?2, ?3) AND (?4 IS NULL OR began_us < ?4)"
      " AND (?5 = '' OR tenant = ?5) AND (?6 = '' OR user = ?6) AND (?7 = '' OR ?7 IN (model, model_served))"
      " AND (?9 = 0 OR tenant_id = ?9) AND (?10 = 0 OR user_id = ?10)"
      " ORDER BY began_us, boot_id, number LIMIT ?8";
  AuditPlace from = after;
  if (filter.from && *filter.from > from.began) {
    constexpr std::uint64_t kLast = std::numeric_limits<std::int64_t>::max();
    from = {.began = *filter.from - std::chrono::microseconds(1), .boot_id = kLast, .number = kLast};
  }
  Statement rows(database_, kSql);
  rows.bind(from.began, from.boot_id, from.number, filter.to, filter.tenant, filter.user, filter.model, limit,
            filter.tenant_id, filter.user_id);
  AuditPage page{.records = {}, .end = after};
  while (rows.next()) {
    page.records.push_back(read_record(rows));
    const journal::AuditRecord& last = page.records.back();
    page.end = {.began = last.began, .boot_id = last.boot_id, .number = last.number};
  }
  if (!rows.status().ok()) return rows.status();
  return page;
}

absl::StatusOr<std::size_t> SqliteStore::prune_audit(WallTime before, std::size_t limit) {
  Statement prune(database_,
                  "DELETE FROM audit WHERE (began_us, boot_id, number) IN"
                  " (SELECT began_us, boot_id, number FROM audit WHERE began_us < ? ORDER BY began_us LIMIT ?)");
  if (absl::Status done = prune.bind(before, limit).run(); !done.ok()) return done;
  return database_.changes();
}

absl::Status SqliteStore::add_seal(const journal::Seal& seal) {
  Statement add(database_,
                "INSERT INTO seals (sequence, records, tokens, cost_micros, mac) VALUES (?,?,?,?,?)"
                " ON CONFLICT DO NOTHING");
  return add.bind(seal.sequence, seal.records, seal.tokens, seal.cost_micros, std::span<const std::uint8_t>(seal.mac))
      .run();
}

absl::StatusOr<std::vector<journal::Seal>> SqliteStore::seals() { return seals_of(database_); }

absl::StatusOr<std::vector<journal::Seal>> seals_of(Database& database) {
  Statement all(database, "SELECT sequence, records, tokens, cost_micros, mac FROM seals ORDER BY sequence");
  std::vector<journal::Seal> seals;
  while (all.next()) {
    journal::Seal& seal = seals.emplace_back();
    seal.sequence = all.count(0);
    seal.records = all.count(1);
    seal.tokens = all.count(2);
    seal.cost_micros = all.count(3);
    const std::string_view mac = all.text(4);
    std::copy_n(mac.begin(), std::min(mac.size(), seal.mac.size()), seal.mac.begin());
  }
  if (!all.status().ok()) return all.status();
  return seals;
}

}  // namespace sluice::store
