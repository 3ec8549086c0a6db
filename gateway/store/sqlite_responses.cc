// Responses that model servers keep.
#include <array>
#include <string>

#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

#define RESPONSE_COLUMNS                                                                                            \
  "responses.id, tenant_id, responses.user_id, key_id, place, model, created_us, expires_us, kind, purpose, bytes," \
  " endpoint, prompt_tokens, output_tokens FROM responses"

#define NEW_RESPONSE                                                                                                   \
  "INSERT INTO responses (id, place, user_id, tenant_id, key_id, model, created_us, expires_us, kind, purpose, bytes," \
  " endpoint, prompt_tokens, output_tokens) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"

ResponseRecord response_at(Statement& row) {
  return {.id = std::string(row.text(0)),
          .tenant_id = row.count(1),
          .user_id = row.count(2),
          .key_id = row.count(3),
          .place = std::string(row.text(4)),
          .model = std::string(row.text(5)),
          .created = row.time(6),
          .expires = row.time(7),
          .kept = static_cast<Kept>(row.count(8)),
          .file = {.purpose = std::string(row.text(9)),
                   .bytes = row.count(10),
                   .endpoint = std::string(row.text(11)),
                   .prompt_tokens = row.count(12),
                   .output_tokens = row.count(13)}};
}

absl::StatusOr<ResponseRecord> only(Statement& row) {
  if (row.next()) return response_at(row);
  if (!row.status().ok()) return row.status();
  return absl::NotFoundError("no such response");
}

// The statements of one transaction over responses.
class Changes final {
 public:
  explicit Changes(Database& database)
      : take_(database, "DELETE FROM responses WHERE id = ?1 AND place = ?2 AND user_id <> ?3"),
        add_(database, NEW_RESPONSE
             " ON CONFLICT DO UPDATE SET place = excluded.place,"
             " key_id = excluded.key_id, model = excluded.model, created_us = excluded.created_us,"
             " expires_us = excluded.expires_us, kind = excluded.kind, purpose = excluded.purpose,"
             " bytes = excluded.bytes, endpoint = excluded.endpoint, prompt_tokens = excluded.prompt_tokens,"
             " output_tokens = excluded.output_tokens, erase_us = NULL"),
        add_made_(database, NEW_RESPONSE " ON CONFLICT DO NOTHING"),
        take_item_(database,
                   "DELETE FROM response_items WHERE id = ?1 AND user_id <> ?2 AND (SELECT place FROM responses r"
                   " WHERE r.user_id = response_items.user_id AND r.id = response_id) ="
                   " (SELECT place FROM responses r WHERE r.user_id = ?2 AND r.id = ?3)"),
        add_item_(database,
                  "INSERT INTO response_items (id, user_id, response_id) SELECT ?1, ?2, ?3 WHERE EXISTS"
                  " (SELECT 1 FROM responses WHERE user_id = ?2 AND id = ?3)"
                  " ON CONFLICT DO UPDATE SET response_id = excluded.response_id"),
        forget_(database, "DELETE FROM responses WHERE id = ? AND user_id = ?"),
        later_(database,
               "UPDATE responses SET erase_us = 1 + (SELECT max(erase_us) FROM responses WHERE erase_us IS NOT NULL)"
               " WHERE id = ? AND user_id = ? AND erase_us IS NOT NULL") {}

  absl::Status make(const ResponseChange& change) {
    const ResponseRecord& of = change.response;
    switch (change.kind) {
      case ResponseChange::Kind::kAdd:
        if (absl::Status taken = run(take_, of.id, of.place, of.user_id); !taken.ok()) return taken;
        return add(add_, of);
      case ResponseChange::Kind::kAddMade:
        return add(add_made_, of);
      case ResponseChange::Kind::kAddItems:
        for (const std::string& item : change.items) {
          if (absl::Status taken = run(take_item_, item, of.user_id, of.id); !taken.ok()) return taken;
          if (absl::Status added = run(add_item_, item, of.user_id, of.id); !added.ok()) return added;
        }
        return absl::OkStatus();
      case ResponseChange::Kind::kEraseLater:
        return run(later_, of.id, of.user_id);
      case ResponseChange::Kind::kForget:
        break;
    }
    return run(forget_, of.id, of.user_id);
  }

 private:
  static absl::Status add(Statement& statement, const ResponseRecord& of) {
    return run(statement, of.id, of.place, of.user_id, of.tenant_id, of.key_id, of.model, of.created, of.expires,
               static_cast<std::uint64_t>(of.kept), of.file.purpose, of.file.bytes, of.file.endpoint,
               of.file.prompt_tokens, of.file.output_tokens);
  }
  template <class... Values>
  static absl::Status run(Statement& statement, const Values&... values) {
    absl::Status done = statement.bind(values...).run();
    statement.rewind();
    return done;
  }

  Statement take_, add_, add_made_, take_item_, add_item_, forget_, later_;
};

}  // namespace

absl::Status make_response_changes(Database& database, std::span<const ResponseChange> changes) {
  Changes all(database);
  for (const ResponseChange& change : changes) {
    if (absl::Status made = all.make(change); !made.ok()) return made;
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::change_responses(std::span<const ResponseChange> changes) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  if (absl::Status made = make_response_changes(database_, changes); !made.ok()) return made;
  return transaction.commit();
}

absl::StatusOr<ResponseRecord> SqliteStore::find_response(std::uint64_t user_id, std::string_view id, WallTime now) {
  Statement row(database_,
                "SELECT " RESPONSE_COLUMNS " WHERE user_id = ? AND id = ? AND expires_us > ? AND erase_us IS NULL");
  return only(row.bind(user_id, id, now));
}

absl::StatusOr<std::vector<ResponseRecord>> SqliteStore::find_responses_of_items(
    std::uint64_t user_id, std::span<const std::string_view> items, WallTime now) {
  Statement row(database_, "SELECT " RESPONSE_COLUMNS
                           " JOIN response_items i ON i.user_id = responses.user_id AND i.response_id = responses.id"
                           " WHERE i.user_id = ? AND i.id = ? AND expires_us > ? AND erase_us IS NULL");
  std::vector<ResponseRecord> responses;
  responses.reserve(items.size());
  for (const std::string_view item : items) {
    auto response = only(row.bind(user_id, item, now));
    if (!response.ok()) return response.status();
    responses.push_back(*std::move(response));
    row.rewind();
  }
  return responses;
}

absl::StatusOr<std::vector<ResponseRecord>> SqliteStore::list_kept(std::uint64_t user_id, Kept kept,
                                                                   std::string_view after, std::size_t limit,
                                                                   WallTime now) {
  const auto kind = static_cast<std::uint64_t>(kept);
  WallTime before = WallTime::max();
  if (!after.empty()) {
    Statement place(database_, "SELECT created_us FROM responses WHERE user_id = ? AND kind = ? AND id = ?");
    if (!place.bind(user_id, kind, after).next())
      return place.status().ok() ? absl::NotFoundError("no such id") : place.status();
    before = place.time(0);
  }
  Statement rows(database_, "SELECT " RESPONSE_COLUMNS
                            " WHERE user_id = ?1 AND kind = ?2 AND (?4 = '' OR (created_us, id) < (?3, ?4))"
                            " AND expires_us > ?5 AND erase_us IS NULL ORDER BY created_us DESC, id DESC LIMIT ?6");
  rows.bind(user_id, kind, before, after, now, limit);
  std::vector<ResponseRecord> kept_there;
  while (rows.next()) kept_there.push_back(response_at(rows));
  if (!rows.status().ok()) return rows.status();
  return kept_there;
}

absl::Status SqliteStore::trim_responses(std::uint64_t user_id, std::size_t most, WallTime now) {
  Statement count(database_,
                  "SELECT kind, count(*) FROM responses WHERE user_id = ? AND erase_us IS NULL GROUP BY kind");
  std::array<std::size_t, 3> there{};
  count.bind(user_id);
  while (count.next()) {
    if (count.count(0) < there.size()) there[count.count(0)] = count.count(1);
  }
  if (!count.status().ok()) return count.status();
  for (std::size_t kind = 0; kind < there.size(); ++kind) {
    if (there[kind] <= most) continue;
    const std::string oldest =
        " WHERE user_id = ?1 AND id IN (SELECT id FROM responses WHERE user_id = ?1 AND kind = ?2 AND erase_us IS NULL"
        " ORDER BY created_us, id LIMIT ?3)";
    const bool forgotten = kind == static_cast<std::size_t>(Kept::kResponse);
    Statement trim(database_, (forgotten ? "DELETE FROM responses" : "UPDATE responses SET erase_us = ?4") + oldest);
    trim.bind(user_id, kind, there[kind] - most);
    if (!forgotten) trim.bind(user_id, kind, there[kind] - most, now);
    if (absl::Status done = trim.run(); !done.ok()) return done;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::size_t> SqliteStore::prune_responses(WallTime now, std::size_t limit) {
  Statement prune(database_,
                  "DELETE FROM responses WHERE (user_id, id) IN"
                  " (SELECT user_id, id FROM responses WHERE expires_us <= ? LIMIT ?)");
  if (absl::Status done = prune.bind(now, limit).run(); !done.ok()) return done;
  return database_.changes();
}

absl::StatusOr<std::size_t> SqliteStore::mark_responses_of_revoked(WallTime now) {
  Statement mark(database_,
                 "UPDATE responses SET erase_us = ? WHERE erase_us IS NULL AND user_id IN (SELECT users.id FROM users"
                 " JOIN tenants ON tenants.id = tenant_id"
                 " WHERE users.revoked_us IS NOT NULL OR tenants.revoked_us IS NOT NULL)");
  if (absl::Status done = mark.bind(now).run(); !done.ok()) return done;
  return database_.changes();
}

absl::StatusOr<std::vector<ResponseRecord>> SqliteStore::responses_to_erase(std::size_t limit) {
  Statement rows(database_, "SELECT " RESPONSE_COLUMNS " WHERE erase_us IS NOT NULL ORDER BY erase_us LIMIT ?");
  rows.bind(limit);
  std::vector<ResponseRecord> responses;
  while (rows.next()) responses.push_back(response_at(rows));
  if (!rows.status().ok()) return rows.status();
  return responses;
}

}  // namespace sluice::store
