// Journal format 1: this program reads it and never writes it. What a gateway of before left behind is recovered,
// delivered and verified as it stands, slots in place.
//
// The segment's header and texts are where they are today. A slot, empty while its checksum is 0:
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
// The text of a settle begins with four numbers: time to the first token and duration in µs, bytes in, bytes out.
#pragma once

#include <cstdint>
#include <string_view>

#include "journal/journal_record.h"

namespace sluice::journal::format1 {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kSlotBytes = 128;
inline constexpr std::size_t kTextNumbers = 32;  // bytes of numbers before a settle's texts

enum class Read : std::uint8_t { kRecord, kTorn };

// Reads the slot at `bytes`, whose checksum is not 0, into the shape of today. What format 1 did not know is 0 or
// unknown; the numbers in a settle's text are not read yet.
[[nodiscard]] Read read_slot(const char* bytes, std::uint64_t salt, std::uint64_t index, SlotBytes& into) noexcept;
// Reads these numbers. Nothing where the text was left out.
void read_numbers(std::string_view text, SettlePart& into) noexcept;

}  // namespace sluice::journal::format1
