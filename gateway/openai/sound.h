// How long a recording may be, by its bytes: what is reserved, and charged where nobody says it better.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::openai {

// Begun seconds. Of a WAV file with plain samples what its head says, else as if it had 64 kbit for each.
[[nodiscard]] std::uint64_t sound_seconds(std::string_view file) noexcept;

// No recording of this size is longer: the leanest codecs of speech take 600 bytes for a second.
[[nodiscard]] constexpr std::uint64_t most_sound_seconds(std::size_t file_bytes) noexcept {
  constexpr std::size_t kLeastBytes = 500;
  return file_bytes / kLeastBytes + 60;
}

}  // namespace sluice::openai
