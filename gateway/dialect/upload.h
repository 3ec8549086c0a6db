// A file that a model server is to keep, and the calls in it where a batch is to make them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/cap_member.h"
#include "base/error.h"

namespace sluice::dialect {

// What a form says of a file, and what the lines of a batch ask for in all. The file itself stays in the body.
struct Upload {
  std::string purpose;
  std::size_t file_offset = 0, file_bytes = 0;      // in the body
  std::size_t length_offset = 0, length_bytes = 0;  // of the value of its part's Content-Length; 0 bytes: it has none
  // Of the lines.
  std::uint64_t lines = 0;             // calls; 0: the file is not for a batch
  std::string endpoint;                // that all of them call, by its name
  std::uint64_t prompt_tokens = 0;     // estimates, together
  std::uint64_t output_tokens = 0;     // what those with a cap may have at most
  std::uint64_t uncapped_answers = 0;  // answers that no cap bounds
  // What the gateway caps each of these answers at; 0: not at all.
  std::uint64_t cap = 0;
  // The first that cannot be taken, counted from 1, and why; 0: all can.
  std::uint64_t wrong_line = 0;
  Error wrong{};
};

// How the lines of a batch are changed for the place that keeps the file.
struct LineEdits {
  std::string_view model = {};                      // its name of their model; empty: as they say
  std::optional<std::uint64_t> cap = std::nullopt;  // of each answer that no cap bounds
  CapMember cap_member = CapMember::kAuto;          // as what it is put into a chat
};

}  // namespace sluice::dialect
