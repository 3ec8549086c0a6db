#include "http/h1/chunk_decoder.h"

#include <algorithm>
#include <cstring>

#include "http/field_text.h"

namespace sluice::http::h1 {
namespace {

constexpr std::uint8_t kMostDigits = 15;
constexpr std::uint16_t kMostExtensionBytes = 1024;  // of one chunk, zeros before its size included
constexpr std::uint16_t kMostTrailerBytes = 8192;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
bool is_token_character(char c) noexcept { return field_text::kToken[static_cast<unsigned char>(c)]; }
bool is_value_character(char c) noexcept { return field_text::kValue[static_cast<unsigned char>(c)]; }

}  // namespace

ChunkDecoder::State ChunkDecoder::size_digit(char c) noexcept {
  const int digit = digit_of(c);
  if (digit >= 0) {
    const bool zero = digit == 0 && digits_ == 0;
    if (zero ? ++overhead_ > kMostExtensionBytes : ++digits_ > kMostDigits) return State::kBad;
    left_ = left_ << 4 | static_cast<unsigned>(digit);
    return State::kSize;
  }
  return state_ == State::kSizeFirst ? State::kBad : extension(c);
}

// Takes one byte of a size's line behind the size.
ChunkDecoder::State ChunkDecoder::extension(char c) noexcept {
  const bool quoted = state_ == State::kQuoted || state_ == State::kQuotedPair;
  const bool begun = state_ != State::kExtensionFirst && state_ != State::kValueFirst && !quoted;
  if (begun && c == '\r') return State::kSizeEnd;
  if (++overhead_ > kMostExtensionBytes) return State::kBad;
  if (begun && c == ';') return State::kExtensionFirst;
  switch (state_) {
    case State::kSize:
    case State::kSpace:
      return is_space(c) ? State::kSpace : State::kBad;
    case State::kExtensionFirst:
      if (is_space(c)) return State::kExtensionFirst;
      return is_token_character(c) ? State::kExtension : State::kBad;
    case State::kExtension:
      if (is_token_character(c)) return State::kExtension;
      [[fallthrough]];
    case State::kExtensionSpace:
      if (c == '=') return State::kValueFirst;
      return is_space(c) ? State::kExtensionSpace : State::kBad;
    case State::kValueFirst:
      if (is_space(c)) return State::kValueFirst;
      if (c == '"') return State::kQuoted;
      return is_token_character(c) ? State::kValue : State::kBad;
    case State::kValue:
      if (is_space(c)) return State::kSpace;
      return is_token_character(c) ? State::kValue : State::kBad;
    case State::kQuoted:
      if (c == '"') return State::kSpace;
      if (c == '\\') return State::kQuotedPair;
      [[fallthrough]];
    case State::kQuotedPair:
      return is_value_character(c) ? State::kQuoted : State::kBad;
    default:
      return State::kBad;
  }
}

ChunkDecoder::State ChunkDecoder::trailer(char c) noexcept {
  if (c == '\r' && state_ == State::kTrailerFirst) return State::kLastEnd;
  if (c == '\r' && state_ == State::kTrailer) return State::kTrailerEnd;
  if (++overhead_ > kMostTrailerBytes) return State::kBad;
  if (state_ == State::kTrailer) return is_value_character(c) ? State::kTrailer : State::kBad;
  if (state_ == State::kTrailerName && c == ':') return State::kTrailer;
  return is_token_character(c) ? State::kTrailerName : State::kBad;
}

// Takes one byte that is not payload.
ChunkDecoder::State ChunkDecoder::framing(char c) noexcept {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      return size_digit(c);
    case State::kSpace:
    case State::kExtensionFirst:
    case State::kExtension:
    case State::kExtensionSpace:
    case State::kValueFirst:
    case State::kValue:
    case State::kQuoted:
    case State::kQuotedPair:
      return extension(c);
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
    case State::kTrailerName:
    case State::kTrailer:
      return trailer(c);
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

}  // namespace sluice::http::h1
