// The head of a WAV file, little-endian:
//
//   0 "RIFF"  8 "WAVE"  12 "fmt "  24 frames a second (4)  32 bytes a frame (2)
#include "openai/sound.h"

namespace sluice::openai {
namespace {

constexpr std::uint64_t kBytesPerSecond = 8'000;
constexpr std::size_t kWaveHeadBytes = 44;

std::uint64_t little_endian(std::string_view bytes) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

// 0: it is no WAV file, or says nothing that can be.
std::uint64_t wave_bytes_per_second(std::string_view file) noexcept {
  if (file.size() < kWaveHeadBytes || !file.starts_with("RIFF") || file.substr(8, 8) != "WAVEfmt ") return 0;
  return little_endian(file.substr(24, 4)) * little_endian(file.substr(32, 2));
}

}  // namespace

std::uint64_t sound_seconds(std::string_view file) noexcept {
  const std::uint64_t told = wave_bytes_per_second(file);
  const std::uint64_t rate = told != 0 ? told : kBytesPerSecond;
  return (file.size() + rate - 1) / rate;
}

}  // namespace sluice::openai
