#include "journal/journal_record.h"

#include <xxhash.h>

#include <algorithm>

namespace sluice::journal {
namespace {

// The numbers first, then each text behind its length.
struct [[gnu::packed]] TextHead {
  std::int64_t ttft_us, duration_us;
  std::uint64_t bytes_in, bytes_out;
};

template <class F>
void for_each_text(F&& f, auto& r) {
  f(r.request_id), f(r.tenant), f(r.user), f(r.channel), f(r.endpoint), f(r.model), f(r.model_served), f(r.upstream),
      f(r.client_ip), f(r.labels), f(r.client_request_id);
}

}  // namespace

std::uint64_t slot_checksum(const SlotBytes& slot, std::uint64_t salt, std::uint64_t index) noexcept {
  const char* bytes = reinterpret_cast<const char*>(&slot) + sizeof(slot.checksum);
  const std::uint64_t sum = XXH3_64bits_withSeed(bytes, kSlotBytes - sizeof(slot.checksum), salt ^ index);
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
  const TextHead head{record.ttft.count(), record.duration.count(), record.bytes_in, record.bytes_out};
  std::memcpy(into, &head, sizeof(head));
  char* at = into + sizeof(head);
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

bool read_text(std::string_view text, AuditRecord& record) noexcept {
  TextHead head;
  if (text.size() < sizeof(head)) return false;
  std::memcpy(&head, text.data(), sizeof(head));
  text.remove_prefix(sizeof(head));
  record.ttft = std::chrono::microseconds(head.ttft_us);
  record.duration = std::chrono::microseconds(head.duration_us);
  record.bytes_in = head.bytes_in;
  record.bytes_out = head.bytes_out;
  bool whole = true;
  for_each_text(
      [&](auto& field) {
        std::uint16_t size = 0;
        // A record that was written before there was this field ends before it.
        const void* const last = &record.client_request_id;
        if (whole && text.empty() && static_cast<const void*>(&field) == last) return;
        if (!whole || text.size() < sizeof(size)) {
          whole = false;
          return;
        }
        std::memcpy(&size, text.data(), sizeof(size));
        text.remove_prefix(sizeof(size));
        if (text.size() < size) {
          whole = false;
          return;
        }
        field = text.substr(0, size);
        text.remove_prefix(size);
      },
      record);
  return whole;
}

}  // namespace sluice::journal
