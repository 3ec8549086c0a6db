#include "store/schema.h"

#include <array>
#include <string>

namespace sluice::store {
namespace {

// Times are microseconds since 1970, ids are rows that are never used twice. Scopes, units, periods and end reasons are
// the numbers of their enums. kSteps[i] leads from version i to i + 1; a step is never changed once it has been
// released.
constexpr std::array<const char*, kSchemaVersion> kSteps = {R"sql(
CREATE TABLE tenants (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  rpm INTEGER, tpm INTEGER, concurrency INTEGER,
  created_us INTEGER NOT NULL,
  revoked_us INTEGER
);
CREATE UNIQUE INDEX tenants_by_name ON tenants (name) WHERE revoked_us IS NULL;

CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  rpm INTEGER, tpm INTEGER, concurrency INTEGER,
  created_us INTEGER NOT NULL,
  revoked_us INTEGER
);
CREATE UNIQUE INDEX users_by_name ON users (tenant_id, name) WHERE revoked_us IS NULL;

CREATE TABLE keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id),
  hash BLOB NOT NULL UNIQUE,
  hint TEXT NOT NULL,
  expires_us INTEGER,
  rpm INTEGER, tpm INTEGER, concurrency INTEGER,
  created_us INTEGER NOT NULL,
  revoked_us INTEGER
);
CREATE INDEX keys_by_user ON keys (user_id, id);
CREATE TABLE key_models (
  key_id INTEGER NOT NULL REFERENCES keys (id),
  model TEXT NOT NULL,
  PRIMARY KEY (key_id, model)
) WITHOUT ROWID;

CREATE TABLE budgets (
  scope INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  model TEXT NOT NULL,
  unit INTEGER NOT NULL,
  period INTEGER NOT NULL,
  soft INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (scope, subject, model, unit, period, soft)
) WITHOUT ROWID;
-- What was used, by day: from it budgets start again, also when the audit records of those days are gone.
CREATE TABLE usage_by_day (
  day_us INTEGER NOT NULL,
  tenant_id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  key_id INTEGER NOT NULL,
  model TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  PRIMARY KEY (day_us, tenant_id, user_id, key_id, model)
) WITHOUT ROWID;

CREATE TABLE agents (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  expires_us INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  revoked_us INTEGER
);
CREATE TABLE pairing_keys (
  hash BLOB PRIMARY KEY,
  created_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  consumed_us INTEGER
) WITHOUT ROWID;
CREATE TABLE known_models (
  agent_id INTEGER NOT NULL REFERENCES agents (id),
  model TEXT NOT NULL,
  seen_us INTEGER NOT NULL,
  PRIMARY KEY (agent_id, model)
) WITHOUT ROWID;

-- One tree: a row a call is the sink's whole work, and each index more would cost it as much again.
CREATE TABLE audit (
  boot_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  began_us INTEGER NOT NULL,
  day_us INTEGER NOT NULL,
  tenant_id INTEGER NOT NULL, tenant TEXT NOT NULL,
  user_id INTEGER NOT NULL, user TEXT NOT NULL,
  key_id INTEGER NOT NULL,
  channel TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  model TEXT NOT NULL,
  model_served TEXT NOT NULL,
  upstream TEXT NOT NULL,
  status INTEGER NOT NULL,
  end_reason INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  usage_source INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  ttft_us INTEGER NOT NULL,
  duration_us INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL,
  bytes_out INTEGER NOT NULL,
  client_ip TEXT NOT NULL,
  labels TEXT NOT NULL,
  PRIMARY KEY (began_us, boot_id, number)
) WITHOUT ROWID;

CREATE TABLE seals (
  sequence INTEGER PRIMARY KEY,
  records INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  mac BLOB NOT NULL
);
)sql",
                                                            R"sql(
-- A key that is refused until it is resumed.
ALTER TABLE keys ADD COLUMN suspended_us INTEGER;
)sql",
                                                            R"sql(
-- An agent that is refused until it is resumed.
ALTER TABLE agents ADD COLUMN suspended_us INTEGER;
-- What the store knows of itself: store_id, which a restore keeps, and suspended_by_restore_us, since when keys and
-- agents are suspended that a restore has suspended.
CREATE TABLE about (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO about (name, value) VALUES ('store_id', lower(hex(randomblob(8))));
)sql",
                                                            R"sql(
-- A name for people, and the secret that a rotation replaced: good until then.
ALTER TABLE keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN old_hash BLOB;
ALTER TABLE keys ADD COLUMN old_until_us INTEGER;
)sql",
                                                            R"sql(
-- What a client calls its request.
ALTER TABLE audit ADD COLUMN client_request_id TEXT NOT NULL DEFAULT '';
)sql",
                                                            R"sql(
-- What an agent may serve, and for whom: bound is the number of BoundModels, models and tenants are JSON arrays. Agents
-- that are there keep what they served last; pairing keys that wait say nothing of it, and live for minutes anyway.
ALTER TABLE agents ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN tenants TEXT NOT NULL DEFAULT '[]';
UPDATE agents SET models = (SELECT json_group_array(model) FROM known_models WHERE agent_id = agents.id);
DELETE FROM pairing_keys;
ALTER TABLE pairing_keys ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pairing_keys ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
ALTER TABLE pairing_keys ADD COLUMN tenants TEXT NOT NULL DEFAULT '[]';
)sql",
                                                            R"sql(
-- The rest of what is metered, what the upstream takes (-1: not known), how often a place was asked, the tier of the
-- price, and the limit that refused: kind (0: none did), scope, unit, period.
ALTER TABLE audit ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN audio_input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN audio_output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN characters INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN searches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN upstream_cost_micros INTEGER NOT NULL DEFAULT -1;
ALTER TABLE audit ADD COLUMN price_tier INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN refused_kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN refused_scope INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN refused_unit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN refused_period INTEGER NOT NULL DEFAULT 0;
)sql",
                                                            R"sql(
-- Responses that model servers keep: whose each is, and which place keeps it. erase_us: nobody's since then, and to be
-- deleted at its place. What stands in a response's output is named by later calls as well.
CREATE TABLE responses (
  user_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  tenant_id INTEGER NOT NULL,
  key_id INTEGER NOT NULL,
  place TEXT NOT NULL,
  model TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  erase_us INTEGER,
  PRIMARY KEY (user_id, id)
) WITHOUT ROWID;
CREATE INDEX responses_by_id ON responses (id, place);
CREATE INDEX responses_by_expiry ON responses (expires_us);
CREATE INDEX responses_to_erase ON responses (erase_us) WHERE erase_us IS NOT NULL;
CREATE TABLE response_items (
  user_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  response_id TEXT NOT NULL,
  PRIMARY KEY (user_id, id),
  FOREIGN KEY (user_id, response_id) REFERENCES responses (user_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX response_items_by_id ON response_items (id);
CREATE INDEX response_items_by_response ON response_items (user_id, response_id);
)sql",
                                                            R"sql(
-- Providers' keys, sealed under a master key that is not here (identity/master_key.h).
CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  created_us INTEGER NOT NULL,
  changed_us INTEGER NOT NULL
) WITHOUT ROWID;
)sql",
                                                            R"sql(
-- Of what was written to a cache, what is to be kept for an hour.
ALTER TABLE audit ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
)sql",
                                                            R"sql(
-- Calls that their places go on with by themselves, and what they hold of budgets until they are charged: number is of
-- the record of the call that began it, settle_number of the record that will say what it used. price: the numbers of
-- Price in their order.
CREATE TABLE kept_calls (
  boot_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  settle_number INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  place TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  tenant_id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  key_id INTEGER NOT NULL,
  began_us INTEGER NOT NULL,
  day_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  prompt_estimate INTEGER NOT NULL,
  reserved_output INTEGER NOT NULL,
  most_prompt INTEGER NOT NULL,
  most_output INTEGER NOT NULL,
  price TEXT NOT NULL,
  request_id TEXT NOT NULL,
  client_request_id TEXT NOT NULL,
  client_ip TEXT NOT NULL,
  labels TEXT NOT NULL,
  PRIMARY KEY (boot_id, number)
) WITHOUT ROWID;
)sql",
                                                            R"sql(
-- Files and batches are kept as responses are: `kind` is base/kept.h's. What a list tells of a file, and what the calls
-- in one ask for in all; of a batch `purpose` is the id of the file that it was made of.
ALTER TABLE responses ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
ALTER TABLE responses ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE responses ADD COLUMN prompt_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
CREATE INDEX responses_by_kind ON responses (user_id, kind, created_us, id);
)sql"};

absl::StatusOr<std::int64_t> pragma(Database& database, const char* sql) {
  Statement ask(database, sql);
  const std::int64_t value = ask.next() ? ask.number(0) : 0;
  if (!ask.status().ok()) return ask.status();
  return value;
}

absl::Status check_owner(Database& database, std::string_view path) {
  const auto id = pragma(database, "PRAGMA application_id");
  if (!id.ok()) return id.status();
  const auto tables = pragma(database, "SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (*id == kApplicationId || *tables == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(std::string(path) +
                                       " is an SQLite file of another program; set store.path to a file of its own");
}

absl::StatusOr<std::int64_t> known_version(Database& database, std::string_view path) {
  const auto version = pragma(database, "PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version > kSchemaVersion)
    return absl::FailedPreconditionError(std::string(path) + " was written by a newer sluice (store version " +
                                         std::to_string(*version) + ", this one knows " +
                                         std::to_string(kSchemaVersion) +
                                         "); run that version, or restore the backup made before it");
  return *version;
}

// The version is asked inside the transaction: two gateways that start at once on one file migrate it once.
absl::Status migrate(Database& database, std::string_view path) {
  Transaction transaction(database);
  if (!transaction.status().ok()) return transaction.status();
  const auto version = known_version(database, path);
  if (!version.ok()) return version.status();
  if (*version == kSchemaVersion) return absl::OkStatus();
  for (auto step = static_cast<std::size_t>(*version); step < kSteps.size(); ++step)
    if (absl::Status made = database.exec(kSteps[step]); !made.ok()) return made;
  const std::string mark = "PRAGMA user_version = " + std::to_string(kSchemaVersion) +
                           "; PRAGMA application_id = " + std::to_string(kApplicationId);
  if (absl::Status marked = database.exec(mark.c_str()); !marked.ok()) return marked;
  return transaction.commit();
}

}  // namespace

absl::Status prepare_schema(Database& database, std::string_view path) {
  if (absl::Status owner = check_owner(database, path); !owner.ok()) return owner;
  return migrate(database, path);
}

absl::StatusOr<int> read_version(Database& database, std::string_view path) {
  if (absl::Status owner = check_owner(database, path); !owner.ok()) return owner;
  const auto version = known_version(database, path);
  if (!version.ok()) return version.status();
  return static_cast<int>(*version);
}

}  // namespace sluice::store
