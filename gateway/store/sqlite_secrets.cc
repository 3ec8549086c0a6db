#include "store/sqlite_parts.h"

namespace sluice::store {

absl::StatusOr<std::vector<SecretRecord>> SqliteStore::secrets() {
  Statement all(database_, "SELECT name, version, sealed, created_us, changed_us FROM secrets ORDER BY name");
  std::vector<SecretRecord> secrets;
  while (all.next())
    secrets.push_back({.name = std::string(all.text(0)),
                       .version = all.count(1),
                       .sealed = std::string(all.text(2)),
                       .created = all.time(3),
                       .changed = all.time(4)});
  if (!all.status().ok()) return all.status();
  return secrets;
}

absl::Status SqliteStore::set_secrets(std::span<const SecretRecord> secrets) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement set(database_,
                "INSERT INTO secrets (name, version, sealed, created_us, changed_us) VALUES (?,?,?,?,?) ON CONFLICT "
                "(name) DO UPDATE SET version = excluded.version, sealed = excluded.sealed, changed_us = "
                "excluded.changed_us");
  for (const SecretRecord& secret : secrets) {
    const std::span<const std::uint8_t> sealed(reinterpret_cast<const std::uint8_t*>(secret.sealed.data()),
                                               secret.sealed.size());
    const absl::Status done = set.bind(secret.name, secret.version, sealed, secret.created, secret.changed).run();
    if (!done.ok()) return done;
    set.rewind();
  }
  return transaction.commit();
}

absl::Status SqliteStore::remove_secret(std::string_view name) {
  Statement remove(database_, "DELETE FROM secrets WHERE name = ?");
  if (absl::Status done = remove.bind(name).run(); !done.ok()) return done;
  return expect_change(database_, "there is no such secret");
}

}  // namespace sluice::store
