// Calls that their places go on with by themselves.
#include <array>
#include <charconv>

#include "base/usage.h"
#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

#define KEPT_COLUMNS                                                                                          \
  "boot_id, number, settle_number, kind, id, place, model, endpoint, tenant_id, user_id, key_id, began_us, "  \
  "day_us, until_us, stream, prompt_estimate, reserved_output, most_prompt, most_output, price, request_id, " \
  "client_request_id, client_ip, labels"

// Numbers in this order; one that a later version adds goes behind them, and is as in Price{} where it does not stand.
template <class PriceOrConst>
auto numbers_of(PriceOrConst& p) noexcept {
  auto& l = p.long_context;
  return std::array{&p.prompt,      &p.cached,         &p.completion,    &p.reasoning,   &p.cache_write,
                    &p.audio_input, &p.audio_output,   &p.images,        &p.seconds,     &p.characters,
                    &p.searches,    &p.cache_write_1h, &p.batch_percent, &l.above,       &l.prompt,
                    &l.cached,      &l.completion,     &l.reasoning,     &l.cache_write, &l.cache_write_1h,
                    &l.audio_input, &l.audio_output};
}

std::string text_of(const Price& price) {
  std::string text;
  for (const std::uint64_t* const number : numbers_of(price))
    text.append(text.empty() ? "" : " ").append(std::to_string(*number));
  return text;
}

Price price_in(std::string_view text) {
  Price price;
  for (std::uint64_t* const number : numbers_of(price)) {
    const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (error != std::errc()) break;
    text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(behind - text.data()) + 1));
  }
  return price;
}

KeptCall call_at(Statement& row) {
  return {.kind = static_cast<KeptCall::Kind>(row.number(3)),
          .id = std::string(row.text(4)),
          .place = std::string(row.text(5)),
          .model = std::string(row.text(6)),
          .endpoint = std::string(row.text(7)),
          .tenant_id = row.count(8),
          .user_id = row.count(9),
          .key_id = row.count(10),
          .boot_id = row.count(0),
          .number = row.count(1),
          .settle_number = row.count(2),
          .began = row.time(11),
          .until = row.time(13),
          .day_us = row.number(12),
          .stream = row.number(14) != 0,
          .prompt_estimate = row.count(15),
          .reserved_output = row.count(16),
          .most_prompt = row.count(17),
          .most_output = row.count(18),
          .price = price_in(row.text(19)),
          .request_id = std::string(row.text(20)),
          .client_request_id = std::string(row.text(21)),
          .client_ip = std::string(row.text(22)),
          .labels = std::string(row.text(23)),
          .charged = row.number(24) != 0};
}

absl::Status insert(Database& database, const KeptCall& call) {
  Statement row(database, "INSERT OR REPLACE INTO kept_calls (" KEPT_COLUMNS
                          ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  const std::string price = text_of(call.price);
  return row
      .bind(call.boot_id, call.number, call.settle_number, static_cast<int>(call.kind), call.id, call.place, call.model,
            call.endpoint, call.tenant_id, call.user_id, call.key_id, call.began, call.day_us, call.until, call.stream,
            call.prompt_estimate, call.reserved_output, call.most_prompt, call.most_output, price, call.request_id,
            call.client_request_id, call.client_ip, call.labels)
      .run();
}

}  // namespace

absl::Status SqliteStore::keep_calls(std::span<const KeptCall> calls, std::span<const ResponseChange> responses) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  for (const KeptCall& call : calls) {
    if (absl::Status kept = insert(database_, call); !kept.ok()) return kept;
  }
  if (absl::Status made = make_response_changes(database_, responses); !made.ok()) return made;
  return transaction.commit();
}

absl::Status SqliteStore::drop_kept_calls(std::span<const KeptCall> calls) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  for (const KeptCall& call : calls) {
    Statement row(database_, "DELETE FROM kept_calls WHERE boot_id = ? AND number = ?");
    if (absl::Status dropped = row.bind(call.boot_id, call.number).run(); !dropped.ok()) return dropped;
  }
  return transaction.commit();
}

absl::StatusOr<std::vector<KeptCall>> SqliteStore::kept_calls() {
  Statement charged(database_,
                    "DELETE FROM kept_calls WHERE EXISTS (SELECT 1 FROM audit WHERE audit.began_us = "
                    "kept_calls.began_us AND audit.boot_id = kept_calls.boot_id AND audit.number = settle_number)");
  if (absl::Status forgotten = charged.run(); !forgotten.ok()) return forgotten;
  Statement rows(database_, "SELECT " KEPT_COLUMNS
                            ", EXISTS (SELECT 1 FROM audit WHERE audit.began_us = kept_calls.began_us AND"
                            " audit.boot_id = kept_calls.boot_id AND audit.number = kept_calls.number AND"
                            " audit.end_reason = ?) FROM kept_calls ORDER BY began_us");
  rows.bind(static_cast<int>(EndReason::kCrashed));
  std::vector<KeptCall> calls;
  while (rows.next()) calls.push_back(call_at(rows));
  if (!rows.status().ok()) return rows.status();
  return calls;
}

}  // namespace sluice::store
