#include <algorithm>
#include <string>

#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

#define TENANT_COLUMNS "id, name, rpm, tpm, concurrency, created_us, revoked_us"
#define USER_COLUMNS "id, tenant_id, name, rpm, tpm, concurrency, created_us, revoked_us"
#define KEY_COLUMNS                                                                                                   \
  "id, user_id, hash, hint, expires_us, rpm, tpm, concurrency, created_us, revoked_us, suspended_us, name, old_hash," \
  " old_until_us"

LimitSpec read_limits(const Statement& row, int at) {
  return {.requests_per_minute = row.maybe_count(at),
          .tokens_per_minute = row.maybe_count(at + 1),
          .concurrency = row.maybe_count(at + 2)};
}

TenantRecord read_tenant(const Statement& row) {
  return {.id = row.count(0),
          .name = std::string(row.text(1)),
          .limits = read_limits(row, 2),
          .created = row.time(5),
          .revoked = row.maybe_time(6)};
}

UserRecord read_user(const Statement& row) {
  return {.id = row.count(0),
          .tenant_id = row.count(1),
          .name = std::string(row.text(2)),
          .limits = read_limits(row, 3),
          .created = row.time(6),
          .revoked = row.maybe_time(7)};
}

// Without its models.
KeyRecord read_key(const Statement& row) {
  KeyRecord key{.id = row.count(0),
                .user_id = row.count(1),
                .hash = {},
                .hint = std::string(row.text(3)),
                .models = {},
                .expires = row.maybe_time(4),
                .limits = read_limits(row, 5),
                .created = row.time(8),
                .revoked = row.maybe_time(9),
                .suspended = row.maybe_time(10),
                .name = std::string(row.text(11))};
  const auto read_hash = [](std::string_view from, identity::Sha256& into) {
    std::copy_n(from.begin(), std::min(from.size(), into.size()), into.begin());
  };
  read_hash(row.text(2), key.hash);
  if (const auto until = row.maybe_time(13))
    read_hash(row.text(12), key.replaced.emplace(KeyRecord::Replaced{{}, *until}).hash);
  return key;
}

absl::Status duplicate(const absl::Status& status, const std::string& message) {
  return absl::IsAlreadyExists(status) ? absl::AlreadyExistsError(message) : status;
}

// One row or kNotFound.
template <class Read>
auto one(Statement& row, Read read, const char* missing) -> absl::StatusOr<decltype(read(row))> {
  if (row.next()) return read(row);
  if (!row.status().ok()) return row.status();
  return absl::NotFoundError(missing);
}

const char* table_of(Scope scope) {
  return scope == Scope::kTenant ? "tenants" : scope == Scope::kUser ? "users" : "keys";
}
const char* missing_of(Scope scope) {
  return scope == Scope::kTenant ? "no such tenant" : scope == Scope::kUser ? "no such user" : "no such key";
}

}  // namespace

absl::StatusOr<std::uint64_t> SqliteStore::add_tenant(const TenantRecord& tenant) {
  Statement add(database_, "INSERT INTO tenants (name, rpm, tpm, concurrency, created_us) VALUES (?,?,?,?,?)");
  const LimitSpec& limits = tenant.limits;
  add.bind(tenant.name, limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, tenant.created);
  if (absl::Status added = add.run(); !added.ok()) return duplicate(added, "tenant " + tenant.name + " exists already");
  return static_cast<std::uint64_t>(database_.last_id());
}

absl::StatusOr<std::uint64_t> SqliteStore::add_user(const UserRecord& user) {
  Statement add(database_,
                "INSERT INTO users (tenant_id, name, rpm, tpm, concurrency, created_us) VALUES (?,?,?,?,?,?)");
  const LimitSpec& limits = user.limits;
  add.bind(user.tenant_id, user.name, limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency,
           user.created);
  if (absl::Status added = add.run(); !added.ok())
    return absl::IsNotFound(added) ? absl::NotFoundError("no such tenant")
                                   : duplicate(added, "user " + user.name + " exists already in this tenant");
  return static_cast<std::uint64_t>(database_.last_id());
}

absl::StatusOr<std::uint64_t> SqliteStore::add_key(const KeyRecord& key, std::span<const BudgetSpec> budgets) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement add(database_,
                "INSERT INTO keys (user_id, hash, hint, expires_us, rpm, tpm, concurrency, created_us, name)"
                " VALUES (?,?,?,?,?,?,?,?,?)");
  const LimitSpec& limits = key.limits;
  add.bind(key.user_id, std::span<const std::uint8_t>(key.hash), key.hint, key.expires, limits.requests_per_minute,
           limits.tokens_per_minute, limits.concurrency, key.created, key.name);
  if (absl::Status added = add.run(); !added.ok())
    return absl::IsNotFound(added) ? absl::NotFoundError("no such user") : duplicate(added, "this key exists already");
  const auto id = static_cast<std::uint64_t>(database_.last_id());
  if (absl::Status added = add_models(id, key.models); !added.ok()) return added;
  for (const BudgetSpec& budget : budgets)
    if (absl::Status set = set_budget({.scope = Scope::kKey, .subject = id, .model = {}, .spec = budget}); !set.ok())
      return set;
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return id;
}

absl::Status SqliteStore::add_models(std::uint64_t key_id, std::span<const std::string> models) {
  Statement add(database_, "INSERT OR IGNORE INTO key_models (key_id, model) VALUES (?,?)");
  for (const std::string& model : models) {
    if (absl::Status added = add.bind(key_id, model).run(); !added.ok()) return added;
    add.rewind();
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::update_key(const KeyRecord& key) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement set(database_,
                "UPDATE keys SET name = ?, expires_us = ?, rpm = ?, tpm = ?, concurrency = ?, suspended_us = ?"
                " WHERE id = ?");
  const LimitSpec& limits = key.limits;
  set.bind(key.name, key.expires, limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency,
           key.suspended, key.id);
  if (absl::Status done = set.run(); !done.ok()) return done;
  if (absl::Status there = expect_change(database_, missing_of(Scope::kKey)); !there.ok()) return there;
  Statement clear(database_, "DELETE FROM key_models WHERE key_id = ?");
  if (absl::Status done = clear.bind(key.id).run(); !done.ok()) return done;
  if (absl::Status added = add_models(key.id, key.models); !added.ok()) return added;
  return transaction.commit();
}

absl::Status SqliteStore::rotate_key(std::uint64_t key_id, const identity::Sha256& hash, std::string_view hint,
                                     WallTime old_until) {
  Statement set(database_, "UPDATE keys SET old_hash = hash, old_until_us = ?, hash = ?, hint = ? WHERE id = ?");
  if (absl::Status done = set.bind(old_until, std::span<const std::uint8_t>(hash), hint, key_id).run(); !done.ok())
    return done;
  return expect_change(database_, missing_of(Scope::kKey));
}

absl::Status SqliteStore::each_tenant(const std::function<void(TenantRecord&&)>& visit) {
  Statement all(database_, "SELECT " TENANT_COLUMNS " FROM tenants ORDER BY id");
  while (all.next()) visit(read_tenant(all));
  return all.status();
}

absl::Status SqliteStore::each_user(std::uint64_t tenant_id, const std::function<void(UserRecord&&)>& visit) {
  Statement all(database_, "SELECT " USER_COLUMNS " FROM users WHERE ?1 = 0 OR tenant_id = ?1 ORDER BY id");
  all.bind(tenant_id);
  while (all.next()) visit(read_user(all));
  return all.status();
}

// Two walks in step, so that a million keys do not ask a million times for their models.
absl::Status SqliteStore::each_key(const std::function<void(KeyRecord&&)>& visit) {
  Statement all(database_, "SELECT " KEY_COLUMNS " FROM keys ORDER BY id");
  Statement models(database_, "SELECT key_id, model FROM key_models ORDER BY key_id");
  bool more = models.next();
  while (all.next()) {
    KeyRecord key = read_key(all);
    for (; more && models.count(0) <= key.id; more = models.next())
      if (models.count(0) == key.id) key.models.emplace_back(models.text(1));
    if (!models.status().ok()) return models.status();  // a key must not come out with fewer bounds than it has
    visit(std::move(key));
  }
  return all.status();
}

absl::StatusOr<TenantRecord> SqliteStore::tenant(std::uint64_t id) {
  Statement row(database_, "SELECT " TENANT_COLUMNS " FROM tenants WHERE id = ?");
  return one(row.bind(id), read_tenant, missing_of(Scope::kTenant));
}

absl::StatusOr<UserRecord> SqliteStore::user(std::uint64_t id) {
  Statement row(database_, "SELECT " USER_COLUMNS " FROM users WHERE id = ?");
  return one(row.bind(id), read_user, missing_of(Scope::kUser));
}

absl::StatusOr<KeyRecord> SqliteStore::key(std::uint64_t id) {
  Statement row(database_, "SELECT " KEY_COLUMNS " FROM keys WHERE id = ?");
  auto key = one(row.bind(id), read_key, missing_of(Scope::kKey));
  if (!key.ok()) return key;
  if (absl::Status filled = fill_models(*key); !filled.ok()) return filled;
  return key;
}

absl::Status SqliteStore::fill_models(KeyRecord& key) {
  Statement models(database_, "SELECT model FROM key_models WHERE key_id = ? ORDER BY model");
  models.bind(key.id);
  while (models.next()) key.models.emplace_back(models.text(0));
  return models.status();
}

absl::StatusOr<TenantRecord> SqliteStore::find_tenant(std::string_view name) {
  Statement row(database_, "SELECT " TENANT_COLUMNS
                           " FROM tenants WHERE name = ?"
                           " ORDER BY revoked_us IS NOT NULL, id DESC LIMIT 1");
  return one(row.bind(name), read_tenant, missing_of(Scope::kTenant));
}

absl::StatusOr<UserRecord> SqliteStore::find_user(std::uint64_t tenant_id, std::string_view name) {
  Statement row(database_, "SELECT " USER_COLUMNS
                           " FROM users WHERE tenant_id = ? AND name = ?"
                           " ORDER BY revoked_us IS NOT NULL, id DESC LIMIT 1");
  return one(row.bind(tenant_id, name), read_user, missing_of(Scope::kUser));
}

absl::StatusOr<std::vector<KeyRecord>> SqliteStore::list_keys(const KeyFilter& filter, std::uint64_t after,
                                                              std::size_t limit) {
  static constexpr std::string_view kFrom = "SELECT " KEY_COLUMNS " FROM keys WHERE id > ?1";
  static constexpr std::string_view kOfUser = " AND user_id = ?3";
  static constexpr std::string_view kOfTenant = " AND user_id IN (SELECT id FROM users WHERE tenant_id = ?4)";
  std::string sql(kFrom);
  if (filter.user_id != 0) sql += kOfUser;
  if (filter.tenant_id != 0) sql += kOfTenant;
  sql += " ORDER BY id LIMIT ?2";
  Statement rows(database_, sql);
  if (filter.tenant_id != 0)
    rows.bind(after, limit, filter.user_id, filter.tenant_id);
  else if (filter.user_id != 0)
    rows.bind(after, limit, filter.user_id);
  else
    rows.bind(after, limit);
  std::vector<KeyRecord> keys;
  while (rows.next()) {
    keys.push_back(read_key(rows));
    if (absl::Status filled = fill_models(keys.back()); !filled.ok()) return filled;
  }
  if (!rows.status().ok()) return rows.status();
  return keys;
}

absl::Status SqliteStore::set_limits(Scope scope, std::uint64_t id, const LimitSpec& limits) {
  Statement set(database_,
                std::string("UPDATE ") + table_of(scope) + " SET rpm = ?, tpm = ?, concurrency = ? WHERE id = ?");
  set.bind(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, id);
  if (absl::Status done = set.run(); !done.ok()) return done;
  return expect_change(database_, missing_of(scope));
}

absl::Status SqliteStore::revoke(Scope scope, std::uint64_t id, WallTime now) {
  Statement set(database_,
                std::string("UPDATE ") + table_of(scope) + " SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?");
  if (absl::Status done = set.bind(now, id).run(); !done.ok()) return done;
  return expect_change(database_, missing_of(scope));
}

absl::Status SqliteStore::set_suspended(std::uint64_t key_id, std::optional<WallTime> since) {
  Statement set(database_,
                "UPDATE keys SET suspended_us = CASE WHEN ?1 IS NULL THEN NULL ELSE coalesce(suspended_us, ?1) END"
                " WHERE id = ?2");
  if (absl::Status done = set.bind(since, key_id).run(); !done.ok()) return done;
  return expect_change(database_, missing_of(Scope::kKey));
}

absl::StatusOr<KeysAndAgents> SqliteStore::resume_restored() {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  KeysAndAgents resumed;
  const auto since = about(database_, kSuspendedByRestore);
  if (absl::IsNotFound(since.status())) return resumed;
  if (!since.ok()) return since.status();
  for (const auto& [sql, ids] :
       {std::pair("UPDATE keys SET suspended_us = NULL WHERE suspended_us = CAST(? AS INTEGER) RETURNING id",
                  &resumed.keys),
        std::pair("UPDATE agents SET suspended_us = NULL WHERE suspended_us = CAST(? AS INTEGER) RETURNING id",
                  &resumed.agents)}) {
    Statement resume(database_, sql);
    resume.bind(*since);
    while (resume.next()) ids->push_back(resume.count(0));
    if (!resume.status().ok()) return resume.status();
  }
  Statement forget(database_, "DELETE FROM about WHERE name = ?");
  if (absl::Status done = forget.bind(kSuspendedByRestore).run(); !done.ok()) return done;
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return resumed;
}

}  // namespace sluice::store
