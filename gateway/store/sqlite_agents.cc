#include "base/ids.h"
#include "store/sqlite_parts.h"

namespace sluice::store {

absl::Status SqliteStore::add_pairing_key(const identity::Sha256& hash, WallTime now, WallTime expires) {
  // Old ones have served their purpose.
  Statement tidy(database_, "DELETE FROM pairing_keys WHERE expires_us < ?");
  if (absl::Status done = tidy.bind(now - std::chrono::hours(24)).run(); !done.ok()) return done;
  Statement add(database_, "INSERT INTO pairing_keys (hash, created_us, expires_us) VALUES (?,?,?)");
  return add.bind(std::span<const std::uint8_t>(hash), now, expires).run();
}

absl::StatusOr<std::uint64_t> SqliteStore::pair_agent(const identity::Sha256& pairing_key, std::string_view name,
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
                "INSERT INTO agents (id, name, fingerprint, expires_us, created_us) VALUES (?, ?, '', 0, ?)");
  if (absl::Status added = add.bind(id, name, now).run(); !added.ok()) return added;
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return id;
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
  Statement all(database_,
                "SELECT id, name, fingerprint, expires_us, created_us, revoked_us, suspended_us FROM agents"
                " ORDER BY created_us, id");
  std::vector<AgentRecord> agents;
  while (all.next())
    agents.push_back({.id = all.count(0),
                      .name = std::string(all.text(1)),
                      .fingerprint = std::string(all.text(2)),
                      .expires = all.time(3),
                      .created = all.time(4),
                      .revoked = all.maybe_time(5),
                      .suspended = all.maybe_time(6)});
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
