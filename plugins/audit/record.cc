#include "plugins/audit/record.h"

#include "journal/label_text.h"
#include "ledger/price.h"

namespace sluice::plugins {

journal::AuditRecord make_record(const policy::Call& call, const policy::Outcome& outcome,
                                 std::uint64_t boot_id) noexcept {
  journal::AuditRecord record;
  record.boot_id = boot_id;
  record.number = call.number;
  record.began = call.began;
  record.day_us = call.ticket.day_us;
  record.admit_segment = call.entry.admit_segment;
  record.settled_in = call.ticket.settled_in;
  record.tenant_id = call.caller.tenant_id;
  record.user_id = call.caller.user_id;
  record.key_id = call.caller.key_id;
  record.end_reason = outcome.reason;
  record.status = outcome.status;
  record.stream = call.stream;
  record.usage = outcome.usage;
  record.cost_micros = ledger::cost(call.ticket.price, outcome.usage, call.ticket.price_class);
  record.upstream_cost_micros = outcome.upstream_cost_micros;
  record.price_tier = ledger::tier_of(call.ticket.price, outcome.usage.prompt_tokens, call.ticket.price_class);
  record.attempts = outcome.attempts;
  record.refused_by = outcome.refused_by;
  record.ttft = outcome.ttft;
  record.duration = outcome.duration;
  record.bytes_in = outcome.bytes_in;
  record.bytes_out = outcome.bytes_out;
  record.request_id = call.request_id;
  record.tenant = call.caller.tenant;
  record.user = call.caller.user;
  record.channel = call.channel;
  record.endpoint = call.endpoint;
  record.model = call.model;
  record.model_served = outcome.model_served;
  record.upstream = outcome.upstream;
  record.client_ip = call.client_ip;
  record.client_request_id = call.client_request_id;
  record.labels = journal::label_text(call.labels);
  return record;
}

}  // namespace sluice::plugins
