#include <algorithm>

#include "base/ids.h"
#include "base/json.h"
#include "store/sqlite_parts.h"

namespace sluice::store {

namespace {

constexpr const char* kAgents =
    "SELECT id, name, fingerprint, expires_us, created_us, revoked_us, suspended_us, bound, models, tenants FROM "
    "agents";

template <class List>
std::string as_json(const List& list) {
  return json::serialize(json::array(list.begin(), list.end()));
}

// What stands in three columns from `first` on.
identity::Binding binding_at(Statement& row, int first) {
  identity::Binding binding{
      .which = static_cast<identity::BoundModels>(row.number(first)), .models = {}, .tenants = {}};
  boost::system::error_code damaged;
  const json::value models = json::parse(row.text(first + 1), damaged);
  if (const json::array* array = models.if_array(); array != nullptr && !damaged) {
    for (const json::value& model : *array) {
      if (model.is_string()) binding.models.emplace_back(model.get_string().c_str());
    }
  }
  std::ranges::sort(binding.models);
  const json::value tenants = json::parse(row.text(first + 2), damaged);
  if (const json::array* array = tenants.if_array(); array != nullptr && !damaged) {
    for (const json::value& tenant : *array) binding.tenants.push_back(tenant.to_number<std::uint64_t>(damaged));
  }
  return binding;
}

AgentRecord agent_at(Statement& row) {
  return {.id = row.count(0),
          .name = std::string(row.text(1)),
          .fingerprint = std::string(row.text(2)),
          .expires = row.time(3),
          .created = row.time(4),
          .revoked = row.maybe_time(5),
          .suspended = row.maybe_time(6),
          .binding = binding_at(row, 7)};
}

}  // namespace

absl::Status SqliteStore::add_pairing_key(const identity::Sha256& hash, const identity::Binding& binding, WallTime now,
                                          WallTime expires) {
  // Old ones have served their purpose.
  Statement tidy(database_, "DELETE FROM pairing_keys WHERE expires_us < ?");
  if (absl::Status done = tidy.bind(now - std::chrono::hours(24)).run(); !done.ok()) return done;
  Statement add(database_,
                "INSERT INTO pairing_keys (hash, created_us, expires_us, bound, models, tenants) VALUES (?,?,?,?,?,?)");
  return add
      .bind(std::span<const std::uint8_t>(hash), now, expires, static_cast<std::uint64_t>(binding.which),
            as_json(binding.models), as_json(binding.tenants))
      .run();
}

absl::StatusOr<std::vector<identity::Sha256>> SqliteStore::pairing_keys(WallTime now) {
  Statement all(database_, "SELECT hash FROM pairing_keys WHERE consumed_us IS NULL AND expires_us > ?");
  all.bind(now);
  std::vector<identity::Sha256> keys;
  while (all.next()) {
    const std::string_view hash = all.text(0);
    identity::Sha256& key = keys.emplace_back();
    std::copy_n(hash.begin(), std::min(hash.size(), key.size()), key.begin());
  }
  if (!all.status().ok()) return all.status();
  return keys;
}

absl::StatusOr<AgentRecord> SqliteStore::pair_agent(const identity::Sha256& pairing_key, std::string_view name,
                                                    WallTime now) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement consume(database_,
                    "UPDATE pairing_keys SET consumed_us = ?1 WHERE hash = ?2 AND consumed_us IS NULL"
                    " AND expires_us > ?1");
  consume.bind(now, std::span<const std::uint8_t>(pairing_key));
  if (absl::Status done = consume.run(); !done.ok()) return done;
  if (absl::Status found = expect_change(database_, "unknown, used or expired pairing key"); !found.ok()) return found;
  const std::uint64_t id = (random_id() >> 1) | 1;  // never 0, and within SQLite's range
  Statement add(database_,
                "INSERT INTO agents (id, name, fingerprint, expires_us, created_us, bound, models, tenants)"
                " SELECT ?, ?, '', 0, ?, bound, models, tenants FROM pairing_keys WHERE hash = ?");
  if (absl::Status added = add.bind(id, name, now, std::span<const std::uint8_t>(pairing_key)).run(); !added.ok())
    return added;
  Statement made(database_, kAgents + std::string(" WHERE id = ?"));
  made.bind(id);
  if (!made.next()) return made.status().ok() ? absl::InternalError("an agent is gone as it is made") : made.status();
  AgentRecord agent = agent_at(made);
  made.rewind();  // a statement that is read keeps the transaction
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return agent;
}

absl::Status SqliteStore::set_agent_certificate(std::uint64_t id, std::string_view fingerprint, WallTime expires) {
  Statement set(database_, "UPDATE agents SET fingerprint = ?, expires_us = ? WHERE id = ? AND revoked_us IS NULL");
  if (absl::Status done = set.bind(fingerprint, expires, id).run(); !done.ok()) return done;
  return expect_change(database_, "no such agent, or it is revoked");
}

absl::Status SqliteStore::revoke_agent(std::uint64_t id, WallTime now) {
  Statement set(database_, "UPDATE agents SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?");
  if (absl::Status done = set.bind(now, id).run(); !done.ok()) return done;
  return expect_change(database_, "no such agent");
}

absl::StatusOr<std::vector<AgentRecord>> SqliteStore::agents() {
  Statement all(database_, kAgents + std::string(" ORDER BY created_us, id"));
  std::vector<AgentRecord> agents;
  while (all.next()) agents.push_back(agent_at(all));
  if (!all.status().ok()) return all.status();
  return agents;
}

absl::Status SqliteStore::set_known_models(std::uint64_t agent_id, std::span<const std::string> models, WallTime now) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement forget(database_, "DELETE FROM known_models WHERE agent_id = ?");
  if (absl::Status done = forget.bind(agent_id).run(); !done.ok()) return done;
  Statement add(database_, "INSERT OR IGNORE INTO known_models (agent_id, model, seen_us) VALUES (?,?,?)");
  for (const std::string& model : models) {
    if (absl::Status added = add.bind(agent_id, model, now).run(); !added.ok()) return added;
    add.rewind();
  }
  return transaction.commit();
}

absl::StatusOr<std::vector<KnownModel>> SqliteStore::known_models() {
  Statement all(database_,
                "SELECT agent_id, model, seen_us FROM known_models JOIN agents ON agents.id = agent_id"
                " WHERE agents.revoked_us IS NULL ORDER BY agent_id, model");
  std::vector<KnownModel> models;
  while (all.next())
    models.push_back({.agent_id = all.count(0), .model = std::string(all.text(1)), .seen = all.time(2)});
  if (!all.status().ok()) return all.status();
  return models;
}

}  // namespace sluice::store
