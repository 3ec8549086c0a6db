// The record of one call: who, what, how much, how it ended. It counts tokens and never holds a word of a prompt or an
// answer.
//
// Fixed size, so that a worker writes it without allocating; texts that do not fit are cut. (boot_id, number) is the
// idempotency id: a sink that sees the same pair twice keeps one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/fixed_text.h"
#include "base/usage.h"
#include "journal/entry.h"
#include "ledger/refusal.h"
#include "ledger/ticket.h"

namespace sluice::journal {

struct AuditRecord {
  std::uint64_t boot_id = 0;  // random at each start of the gateway
  std::uint64_t number = 0;   // counts calls of that start, from 1
  WallTime began;
  std::int64_t day_us = 0;  // when the day began to which it is charged, in the budgets' zone; µs since the epoch
  std::uint64_t tenant_id = 0, user_id = 0, key_id = 0;  // opaque; 0: none

  std::uint32_t admit_segment = 0;  // where the journal holds the admit; 0: it was refused, or there is no journal
  ledger::Epoch settled_in = 0;     // the budgets' epoch in which the call was settled

  EndReason end_reason = EndReason::kFault;
  std::uint16_t status = 0;  // as the client saw it; 0: no head was sent
  bool stream = false;
  Usage usage;                                       // every meter and where the numbers come from
  std::uint64_t cost_micros = 0;                     // micro-dollars by the model's price; 0 where it has none
  std::int64_t upstream_cost_micros = kCostUnknown;  // that the upstream takes for it
  std::uint8_t price_tier = 0;                       // of the model's prices: ledger::tier_of()
  std::uint8_t attempts = 0;                         // how often a place was asked
  ledger::RefusedBy refused_by;                      // the limit or budget that said no
  std::chrono::microseconds ttft{-1};                // -1: no byte of an answer came
  std::chrono::microseconds duration{0};
  std::uint64_t bytes_in = 0, bytes_out = 0;

  FixedText<40> request_id;    // "req_…"
  FixedText<64> tenant, user;  // names, for people
  FixedText<16> channel;       // "api"
  FixedText<32> endpoint;      // "chat.completions"
  FixedText<128> model;        // asked for: a configured or served name, or "sha256:…"
  FixedText<128> model_served;
  FixedText<64> upstream;
  FixedText<48> client_ip;           // truncated to /24 or /48
  FixedText<1024> labels;            // a JSON object of strings, whole pairs only; empty: none
  FixedText<128> client_request_id;  // what the client calls the request; empty: nothing
};

// Where finished records go. The sink is asynchronous: it queues and returns.
// Thread: any worker. Errors: never reported here; a sink that must drop counts and logs what it dropped.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  virtual void record(AuditRecord&& record) noexcept = 0;
  // Of a record that can wait: whether there was room for it. kNoRoom: nothing has been recorded.
  enum class Recorded : std::uint8_t { kYes, kNoRoom };
  [[nodiscard]] virtual Recorded record_if_room(const AuditRecord& record) noexcept {
    this->record(AuditRecord(record));
    return Recorded::kYes;
  }
};

}  // namespace sluice::journal
