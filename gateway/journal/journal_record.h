// The bytes of the journal, format 2. All numbers little endian, all offsets in bytes. Format 1: format1.h.
//
// A segment file:
//
//   0          4096                                    text_begin                       size
//   +----------+--------+--------+--------+---  ---+---+--------------------------------+
//   | header   | slot 0 | slot 1 | slot 2 |  ...       | texts, behind one another      |
//   +----------+--------+--------+--------+---  ---+---+--------------------------------+
//              256 bytes each                          8-aligned: checksum (8), bytes
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
//     0  XXH3-64 of bytes 8..247, seed = salt ^ index
//     8  kind (1)                   9  flags (1)              10  status (2)
//    12  end reason (1)            13  usage source (1)       14  0 (2)
//    16  boot id                   24  number
//    32  written, µs               40  day, µs
//    48  tenant                    56  user                   64  key
//    72  admit's segment (4)       76  text size (4)
//    80  began, µs                 88  text at, in units of 8 from text_begin (4)      92  0 (4)
//
//   admit; prices in micro-dollars per million:
//    96  prompt estimate          104  reserved output
//   112  price of prompt tokens   120  of cached ones
//   128  of completion tokens     136  of reasoning ones     144  0 (104)
//   progress:
//    96  completion tokens        104  0 (144)
//   settle:
//    96  prompt                   104  cached                112  cache-write
//   120  completion               128  reasoning
//   136  audio in                 144  audio out
//   152  images (4)  156  seconds (4)  160  characters (4)  164  searches (4)
//   168  micro-dollars            176  micro-dollars that the upstream takes, -1: not known
//   184  first token after, µs, -1: none came               192  duration, µs
//   200  bytes in                 208  bytes out
//   216  epoch of the budgets (4)
//   220  attempts (1)             221  price tier (1)
//   222  the limit that refused: kind (1), scope (1), unit (1), period (1)
//   226  0 (6)                   232  cache-write for an hour
//   240  0 (8)
//
//   248  0 (8): up to 240 bytes the checksum takes the short way
//
// What is 0 above is free for fields to come; 0 in them then means that the record was written before. A field that is
// here keeps its place and its meaning.
//
// (boot id, number) names a call. A text belongs to its admit (request id, a zero byte, the model's name) or its settle
// (the texts of an audit record, each behind its length).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/limits.h"
#include "journal/audit_record.h"
#include "ledger/refusal.h"

namespace sluice::journal {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kSlotBytes = 256;
inline constexpr std::size_t kCommonBytes = 96;    // of a slot, before what its kind holds
inline constexpr std::size_t kCheckedBytes = 248;  // of a slot, its checksum included
inline constexpr std::size_t kFixedHeaderBytes = 72;
inline constexpr char kMagic[9] = "SLUICEJ1";
inline constexpr std::uint32_t kJournalVersion = 2;

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

struct AdmitPart {
  std::uint64_t prompt_estimate, reserved_output;
  std::uint64_t price_prompt, price_cached, price_completion, price_reasoning;
};
struct ProgressPart {
  std::uint64_t completion_tokens;
};
struct SettlePart {
  std::uint64_t prompt, cached, cache_write, completion, reasoning, audio_input, audio_output;
  std::uint32_t images, seconds, characters, searches;
  std::uint64_t cost_micros;
  std::int64_t upstream_cost_micros, ttft_us, duration_us;
  std::uint64_t bytes_in, bytes_out;
  ledger::Epoch settled_in;
  std::uint8_t attempts, price_tier;
  RefusalKind refused_kind;
  Scope refused_scope;
  BudgetUnit refused_unit;
  BudgetPeriod refused_period;
  std::uint64_t cache_write_1h;
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
    std::uint8_t bytes[kSlotBytes - kCommonBytes];
  };
};
static_assert(sizeof(SlotBytes) == kSlotBytes && offsetof(SlotBytes, admit) == kCommonBytes);
static_assert(offsetof(AdmitPart, price_reasoning) == 136 - kCommonBytes &&
              offsetof(SettlePart, images) == 152 - kCommonBytes &&
              offsetof(SettlePart, cost_micros) == 168 - kCommonBytes &&
              offsetof(SettlePart, settled_in) == 216 - kCommonBytes &&
              offsetof(SettlePart, refused_period) == 225 - kCommonBytes &&
              offsetof(SettlePart, cache_write_1h) == 232 - kCommonBytes && sizeof(SettlePart) <= 248 - kCommonBytes);

// Makes a slot empty. In pieces: more at once g++ 12 does by `rep stos`, whose start alone takes 30 cycles.
inline void clear(SlotBytes& slot) noexcept {
  constexpr std::size_t kPiece = 64;
  char* bytes = reinterpret_cast<char*>(&slot);
  for (std::size_t at = 0; at < sizeof(SlotBytes); at += kPiece) std::memset(bytes + at, 0, kPiece);
}

[[nodiscard]] std::uint64_t slot_checksum(const SlotBytes& slot, std::uint64_t salt, std::uint64_t index) noexcept;
[[nodiscard]] std::uint64_t text_checksum(std::string_view bytes, std::uint64_t salt) noexcept;

// The text of an admit: what a record of a crashed call is named by. `into` must hold kMaxAdmitText.
inline constexpr std::size_t kMaxAdmitText =
    1 + decltype(AuditRecord::request_id)::capacity() + decltype(AuditRecord::model)::capacity();
[[nodiscard]] std::size_t write_admit_text(std::string_view request_id, std::string_view model, char* into) noexcept;
void read_admit_text(std::string_view text, AuditRecord& record) noexcept;

// A record as the slot of its settle, without its texts, and back. Of `text` what is not such a text is left out.
[[nodiscard]] SlotBytes settle_of(const AuditRecord& record) noexcept;
[[nodiscard]] AuditRecord record_of(const SlotBytes& settle, std::string_view text) noexcept;

// The texts of a record, which a slot has no room for. `into` must hold kMaxTextBytes.
inline constexpr std::size_t kMaxTextBytes = 48 + sizeof(AuditRecord);
[[nodiscard]] std::size_t write_text(const AuditRecord& record, char* into) noexcept;

}  // namespace sluice::journal
