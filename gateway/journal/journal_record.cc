#include "journal/journal_record.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>

namespace sluice::journal {
namespace {

std::uint32_t count32(std::uint64_t count) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

template <class F>
void for_each_text(F&& f, auto& r) {
  f(r.request_id), f(r.tenant), f(r.user), f(r.channel), f(r.endpoint), f(r.model), f(r.model_served), f(r.upstream),
      f(r.client_ip), f(r.labels), f(r.client_request_id);
}

// Up to where `text` is whole: one that was written before there was a field ends before it.
void read_texts(std::string_view text, AuditRecord& record) noexcept {
  bool whole = true;
  for_each_text(
      [&](auto& field) {
        std::uint16_t size = 0;
        whole = whole && text.size() >= sizeof(size);
        if (!whole) return;
        std::memcpy(&size, text.data(), sizeof(size));
        text.remove_prefix(sizeof(size));
        whole = text.size() >= size;
        if (!whole) return;
        field = text.substr(0, size);
        text.remove_prefix(size);
      },
      record);
}

}  // namespace

std::uint64_t slot_checksum(const SlotBytes& slot, std::uint64_t salt, std::uint64_t index) noexcept {
  const char* bytes = reinterpret_cast<const char*>(&slot) + sizeof(slot.checksum);
  const std::uint64_t sum = XXH3_64bits_withSeed(bytes, kCheckedBytes - sizeof(slot.checksum), salt ^ index);
  return sum == 0 ? 1 : sum;  // 0 is an empty slot
}

std::uint64_t text_checksum(std::string_view bytes, std::uint64_t salt) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), salt);
}

std::size_t write_admit_text(std::string_view request_id, std::string_view model, char* into) noexcept {
  request_id = request_id.substr(0, decltype(AuditRecord::request_id)::capacity());
  model = model.substr(0, decltype(AuditRecord::model)::capacity());
  char* end = std::copy(request_id.begin(), request_id.end(), into);
  *end++ = 0;
  return static_cast<std::size_t>(std::copy(model.begin(), model.end(), end) - into);
}

void read_admit_text(std::string_view text, AuditRecord& record) noexcept {
  const std::size_t zero = text.find('\0');
  if (zero == std::string_view::npos) return;
  record.request_id = text.substr(0, zero);
  record.model = text.substr(zero + 1);
}

std::size_t write_text(const AuditRecord& record, char* into) noexcept {
  char* at = into;
  for_each_text(
      [&](const auto& text) {
        const auto size = static_cast<std::uint16_t>(text.view().size());
        std::memcpy(at, &size, sizeof(size));
        std::memcpy(at + sizeof(size), text.view().data(), size);
        at += sizeof(size) + size;
      },
      record);
  return static_cast<std::size_t>(at - into);
}

SlotBytes settle_of(const AuditRecord& r) noexcept {
  SlotBytes slot;
  clear(slot);
  slot.kind = RecordKind::kSettle;
  slot.flags = r.stream ? kFlagStream : 0;
  slot.status = r.status;
  slot.end_reason = r.end_reason;
  slot.source = r.usage.source;
  slot.boot_id = r.boot_id;
  slot.number = r.number;
  slot.day_us = r.day_us;
  slot.began_us = r.began.time_since_epoch().count();
  slot.tenant_id = r.tenant_id;
  slot.user_id = r.user_id;
  slot.key_id = r.key_id;
  slot.admit_segment = r.admit_segment;
  slot.settle = {.prompt = r.usage.prompt_tokens,
                 .cached = r.usage.cached_tokens,
                 .cache_write = r.usage.cache_write_tokens,
                 .completion = r.usage.completion_tokens,
                 .reasoning = r.usage.reasoning_tokens,
                 .audio_input = r.usage.audio_input_tokens,
                 .audio_output = r.usage.audio_output_tokens,
                 .images = count32(r.usage.images),
                 .seconds = count32(r.usage.seconds),
                 .characters = count32(r.usage.characters),
                 .searches = count32(r.usage.searches),
                 .cost_micros = r.cost_micros,
                 .upstream_cost_micros = r.upstream_cost_micros,
                 .ttft_us = r.ttft.count(),
                 .duration_us = r.duration.count(),
                 .bytes_in = r.bytes_in,
                 .bytes_out = r.bytes_out,
                 .settled_in = r.settled_in,
                 .attempts = r.attempts,
                 .price_tier = r.price_tier,
                 .refused_kind = r.refused_by.kind,
                 .refused_scope = r.refused_by.scope,
                 .refused_unit = r.refused_by.unit,
                 .refused_period = r.refused_by.period,
                 .cache_write_1h = r.usage.cache_write_1h_tokens};
  return slot;
}

AuditRecord record_of(const SlotBytes& slot, std::string_view text) noexcept {
  AuditRecord r;
  r.boot_id = slot.boot_id;
  r.number = slot.number;
  r.began = WallTime(std::chrono::microseconds(slot.began_us));
  r.day_us = slot.day_us;
  r.tenant_id = slot.tenant_id;
  r.user_id = slot.user_id;
  r.key_id = slot.key_id;
  r.admit_segment = slot.admit_segment;
  r.end_reason = slot.end_reason;
  r.status = slot.status;
  r.stream = (slot.flags & kFlagStream) != 0;
  const SettlePart& s = slot.settle;
  r.settled_in = s.settled_in;
  r.usage = {.source = slot.source,
             .prompt_tokens = s.prompt,
             .cached_tokens = s.cached,
             .completion_tokens = s.completion,
             .reasoning_tokens = s.reasoning,
             .cache_write_tokens = s.cache_write,
             .cache_write_1h_tokens = s.cache_write_1h,
             .audio_input_tokens = s.audio_input,
             .audio_output_tokens = s.audio_output,
             .images = s.images,
             .seconds = s.seconds,
             .characters = s.characters,
             .searches = s.searches};
  r.cost_micros = s.cost_micros;
  r.upstream_cost_micros = s.upstream_cost_micros;
  r.ttft = std::chrono::microseconds(s.ttft_us);
  r.duration = std::chrono::microseconds(s.duration_us);
  r.bytes_in = s.bytes_in;
  r.bytes_out = s.bytes_out;
  r.attempts = s.attempts;
  r.price_tier = s.price_tier;
  r.refused_by = {s.refused_kind, s.refused_scope, s.refused_unit, s.refused_period};
  read_texts(text, r);
  return r;
}

}  // namespace sluice::journal
