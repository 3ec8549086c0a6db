#include "plugins/audit/record.h"

#include "ledger/price.h"

namespace sluice::plugins {
namespace {

// A JSON object of as many whole pairs as fit. Written by hand: a record allocates nothing.
class LabelWriter final {
 public:
  void add(std::string_view name, std::string_view value) noexcept {
    const std::size_t before = size_;
    const bool fits = put(before == 0 ? '{' : ',') && quote(name) && put(':') && quote(value) && size_ < kRoom;
    if (!fits) size_ = before;
  }
  [[nodiscard]] std::string_view finish() noexcept {
    if (size_ != 0) text_[size_++] = '}';
    return {text_, size_};
  }

 private:
  static constexpr std::size_t kRoom = decltype(journal::AuditRecord::labels)::capacity();

  bool put(char c) noexcept {
    if (size_ == kRoom) return false;
    text_[size_++] = c;
    return true;
  }
  bool quote(std::string_view text) noexcept {
    static constexpr char kHex[] = "0123456789abcdef";
    if (!put('"')) return false;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      bool fits = true;
      if (c == '"' || c == '\\') {
        fits = put('\\') && put(c);
      } else if (byte < 0x20 || byte == 0x7F) {
        fits = put('\\') && put('u') && put('0') && put('0') && put(kHex[byte >> 4]) && put(kHex[byte & 15]);
      } else {
        fits = put(c);
      }
      if (!fits) return false;
    }
    return put('"');
  }

  char text_[kRoom];
  std::size_t size_ = 0;
};

}  // namespace

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
  LabelWriter labels;
  for (const auto& [label, value] : call.labels) labels.add(label, value);
  record.labels = labels.finish();
  return record;
}

}  // namespace sluice::plugins
