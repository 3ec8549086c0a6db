// The bytes of the journal. All numbers little endian, all offsets in bytes.
//
// A segment file:
//
//   0          4096                                    text_begin                       size
//   +----------+--------+--------+--------+---  ---+---+--------------------------------+
//   | header   | slot 0 | slot 1 | slot 2 |  ...       | texts, behind one another      |
//   +----------+--------+--------+--------+---  ---+---+--------------------------------+
//              128 bytes each                            8-aligned: checksum (8), bytes
//
// The header's first 72 bytes never change; what follows is written as the segment ages.
//
//     0  magic "SLUICEJ1"           8  version (4)            12  slot size (4)
//    16  sequence                  24  boot id                32  salt
//    40  slots                     48  text_begin             56  size
//    64  created, µs
//    72  records when sealed       80  state: 0 open, 1 sealed, 2 sealed and delivered
//    88  slots delivered           96  mac of the segment before (32)
//   128  mac (32)                 160  tokens charged        168  micro-dollars charged
//
// mac = HMAC-SHA-256(key, header[0..72) | records | mac before | slots[0..records)). Texts are not in it: the names of
// a person can be erased there, and the sums stay proven.
//
// A slot, empty while its checksum is 0; the checksum is written last:
//
//     0  XXH3-64 of bytes 8..127, seed = salt ^ index
//     8  kind (1)                   9  flags (1)              10  status (2)
//    12  end reason (1)            13  usage source (1)       14  0 (2)
//    16  boot id                   24  number
//    32  written, µs               40  day, µs
//    48  tenant                    56  user                   64  key
//    72  admit's segment (4)       76  text size (4)
//    80  began, µs                 88  text at, in units of 8 from text_begin (4)      92  0 (4)
//
//   admit:
//    96  prompt estimate          104  reserved output
//   112  price of a prompt token (4)  116  of a cached one (4)  120  completion (4)  124  reasoning (4)
//   progress:
//    96  completion tokens
//   settle:
//    96  prompt (5)   101  cached (5)   106  completion (5)   111  reasoning (5)
//   116  micro-dollars                                        124  epoch of the budgets (4)
//
// (boot id, number) names a call. A text belongs to its admit (request id, a zero byte, the model's name) or its settle
// (all that an audit record holds beside).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/limits.h"
#include "journal/audit_record.h"

namespace sluice::journal {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kSlotBytes = 128;
inline constexpr std::size_t kFixedHeaderBytes = 72;
inline constexpr char kMagic[9] = "SLUICEJ1";
inline constexpr std::uint32_t kJournalVersion = 1;

enum class SegmentState : std::uint64_t { kOpen = 0, kSealed = 1, kDelivered = 2 };

struct SegmentHeader {
  char magic[8];
  std::uint32_t version, slot_bytes;
  std::uint64_t sequence, boot_id, salt, slots, text_begin, size;
  std::int64_t created_us;
  // what ages
  std::uint64_t records;
  SegmentState state;
  std::uint64_t delivered_slots;
  std::array<std::uint8_t, 32> mac_before, mac;
  std::uint64_t tokens, cost_micros;
};
static_assert(offsetof(SegmentHeader, records) == kFixedHeaderBytes && offsetof(SegmentHeader, mac_before) == 96 &&
              offsetof(SegmentHeader, cost_micros) == 168);

enum class RecordKind : std::uint8_t { kAdmit = 1, kProgress = 2, kSettle = 3 };

// 40 bits: a trillion tokens.
struct [[gnu::packed]] Tokens40 {
  std::uint32_t low;
  std::uint8_t high;
  [[nodiscard]] static Tokens40 of(std::uint64_t v) noexcept {
    if (v >> 40 != 0) v = (std::uint64_t{1} << 40) - 1;
    return {static_cast<std::uint32_t>(v), static_cast<std::uint8_t>(v >> 32)};
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return static_cast<std::uint64_t>(high) << 32 | low; }
};

struct AdmitPart {
  std::uint64_t prompt_estimate, reserved_output;
  std::uint32_t price_prompt, price_cached, price_completion, price_reasoning;  // micro-dollars per million tokens
};
struct ProgressPart {
  std::uint64_t completion_tokens;
};
struct [[gnu::packed]] SettlePart {
  Tokens40 prompt, cached, completion, reasoning;
  std::uint64_t cost_micros;
  ledger::Epoch settled_in;
};

inline constexpr std::uint8_t kFlagStream = 1;

struct SlotBytes {
  std::uint64_t checksum;
  RecordKind kind;
  std::uint8_t flags;
  std::uint16_t status;
  EndReason end_reason;
  UsageSource source;
  std::uint16_t zero;
  std::uint64_t boot_id, number;
  std::int64_t written_us, day_us;
  std::uint64_t tenant_id, user_id, key_id;
  std::uint32_t admit_segment, text_bytes;
  std::int64_t began_us;
  std::uint32_t text_at, zero2;
  union {
    AdmitPart admit;
    ProgressPart progress;
    SettlePart settle;
    std::uint8_t bytes[32];
  };
};
static_assert(sizeof(SlotBytes) == kSlotBytes && offsetof(SlotBytes, admit) == 96 && sizeof(AdmitPart) == 32 &&
              sizeof(SettlePart) == 32);

[[nodiscard]] std::uint64_t slot_checksum(const SlotBytes& slot, std::uint64_t salt, std::uint64_t index) noexcept;
[[nodiscard]] std::uint64_t text_checksum(std::string_view bytes, std::uint64_t salt) noexcept;

// The text of an admit: what a record of a crashed call is named by. `into` must hold kMaxAdmitText.
inline constexpr std::size_t kMaxAdmitText =
    1 + decltype(AuditRecord::request_id)::capacity() + decltype(AuditRecord::model)::capacity();
[[nodiscard]] std::size_t write_admit_text(std::string_view request_id, std::string_view model, char* into) noexcept;
void read_admit_text(std::string_view text, AuditRecord& record) noexcept;

// The part of an audit record that a settle slot has no room for. `into` must hold kMaxTextBytes.
inline constexpr std::size_t kMaxTextBytes = 48 + sizeof(AuditRecord);
[[nodiscard]] std::size_t write_text(const AuditRecord& record, char* into) noexcept;
// False: not such a text; `record` may be half filled.
[[nodiscard]] bool read_text(std::string_view text, AuditRecord& record) noexcept;

}  // namespace sluice::journal
