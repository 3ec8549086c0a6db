// The head of a WAV file, little-endian:
//
//   0 "RIFF"  8 "WAVEfmt "  20 format (2)  22 channels (2)  24 frames a second (4)  32 bytes a frame (2)
//   34 bits a sample (2)    44 format of an extensible one (2)
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

// Samples as they are, each of the same size. Of every other format frames are blocks, which tell no length.
bool is_plain(std::string_view file) noexcept {
  constexpr std::uint64_t kPcm = 1, kFloat = 3, kExtensible = 0xFFFE;
  std::uint64_t format = little_endian(file.substr(20, 2));
  if (format == kExtensible) format = little_endian(file.substr(44, 2));
  return format == kPcm || format == kFloat;
}

// 0: it is no WAV file, or says nothing that can be. Readers go by different members of the head, so what contradicts
// another is not believed: a sender could have it charged as shorter than it is heard.
std::uint64_t wave_bytes_per_second(std::string_view file) noexcept {
  constexpr std::uint64_t kMostFrames = 384'000;  // a second
  constexpr std::uint64_t kMostChannels = 32, kMostBits = 64;
  if (file.size() < kWaveHeadBytes || !file.starts_with("RIFF") || file.substr(8, 8) != "WAVEfmt ") return 0;
  const std::uint64_t frames = little_endian(file.substr(24, 4));
  const std::uint64_t frame_bytes = little_endian(file.substr(32, 2));
  const std::uint64_t channels = little_endian(file.substr(22, 2)), bits = little_endian(file.substr(34, 2));
  const bool can_be = is_plain(file) && frames <= kMostFrames && channels <= kMostChannels && bits <= kMostBits &&
                      channels * bits == frame_bytes * 8;
  return can_be ? frames * frame_bytes : 0;
}

}  // namespace

std::uint64_t sound_seconds(std::string_view file) noexcept {
  const std::uint64_t told = wave_bytes_per_second(file);
  const std::uint64_t rate = told != 0 ? told : kBytesPerSecond;
  return (file.size() + rate - 1) / rate;
}

}  // namespace sluice::openai
