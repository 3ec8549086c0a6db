#include "http/chunk_decoder.h"

#include <algorithm>
#include <cstring>

namespace sluice::http {
namespace {

constexpr std::uint8_t kMostDigits = 15;
constexpr std::uint16_t kMostExtensionBytes = 1024;  // of one chunk
constexpr std::uint16_t kMostTrailerBytes = 8192;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Bytes that may stand in an extension or a trailer: no control character but a tab.
bool is_text(char c) noexcept { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f); }

}  // namespace

ChunkDecoder::State ChunkDecoder::size_digit(char c) noexcept {
  const int digit = digit_of(c);
  if (digit >= 0) {
    if (++digits_ > kMostDigits) return State::kBad;
    left_ = left_ << 4 | static_cast<unsigned>(digit);
    return State::kSize;
  }
  if (state_ == State::kSizeFirst) return State::kBad;
  if (c == '\r') return State::kSizeEnd;
  overhead_ = 0;
  return c == ';' ? State::kExtension : State::kBad;
}

// Takes one byte that is not payload.
ChunkDecoder::State ChunkDecoder::framing(char c) noexcept {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      return size_digit(c);
    case State::kExtension:
      if (c == '\r') return State::kSizeEnd;
      return is_text(c) && ++overhead_ <= kMostExtensionBytes ? State::kExtension : State::kBad;
    case State::kSizeEnd:
      if (c != '\n') return State::kBad;
      overhead_ = 0;
      return left_ == 0 ? State::kTrailerFirst : State::kPayload;
    case State::kPayloadEnd:
      return c == '\r' ? State::kPayloadLineEnd : State::kBad;
    case State::kPayloadLineEnd:
      digits_ = 0;
      return c == '\n' ? State::kSizeFirst : State::kBad;
    case State::kTrailerFirst:
      if (c == '\r') return State::kLastEnd;
      [[fallthrough]];
    case State::kTrailer:
      if (c == '\r') return State::kTrailerEnd;
      return is_text(c) && ++overhead_ <= kMostTrailerBytes ? State::kTrailer : State::kBad;
    case State::kTrailerEnd:
      return c == '\n' ? State::kTrailerFirst : State::kBad;
    case State::kLastEnd:
      return c == '\n' ? State::kDone : State::kBad;
    case State::kPayload:
    case State::kDone:
    case State::kBad:
      break;
  }
  return State::kBad;
}

ChunkDecoder::Out ChunkDecoder::decode(char* bytes, std::size_t size) noexcept {
  Out out;
  while (out.used < size && state_ != State::kDone && state_ != State::kBad) {
    if (state_ != State::kPayload) {
      state_ = framing(bytes[out.used++]);
      continue;
    }
    const auto run = static_cast<std::size_t>(std::min<std::uint64_t>(left_, size - out.used));
    if (out.payload != out.used) std::memmove(bytes + out.payload, bytes + out.used, run);
    out.payload += run;
    out.used += run;
    left_ -= run;
    if (left_ == 0) state_ = State::kPayloadEnd;
  }
  if (state_ == State::kDone) out.step = Step::kDone;
  if (state_ == State::kBad) out.step = Step::kBad;
  return out;
}

}  // namespace sluice::http
