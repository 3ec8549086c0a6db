// Removes the chunked coding of HTTP/1.1 in place, from bytes as they come.
//
//   1*HEXDIG [;extension] CRLF  payload CRLF  …  0 [;extension] CRLF  *(trailer CRLF)  CRLF     (RFC 9112, 7.1)
//
// Lines end in CRLF only, extensions and trailers are dropped and bounded, a size has at most 15 digits.
// Pure: no call waits, throws or allocates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::http {

class ChunkDecoder final {
 public:
  enum class Step : std::uint8_t { kMore, kDone, kBad };
  struct Out {
    Step step = Step::kMore;
    std::size_t payload = 0;  // bytes of payload, now at the front of what was given
    std::size_t used = 0;     // bytes looked at; kDone: what follows belongs to the next message
  };

  // Decodes `size` bytes at `bytes`, moving payload to the front. kMore has used them all.
  [[nodiscard]] Out decode(char* bytes, std::size_t size) noexcept;

  // The least number of bytes that must still come before the body can be whole.
  [[nodiscard]] std::uint64_t payload_under_way() const noexcept { return state_ == State::kPayload ? left_ : 0; }

 private:
  enum class State : std::uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeEnd,
    kPayload,
    kPayloadEnd,
    kPayloadLineEnd,
    kTrailerFirst,
    kTrailer,
    kTrailerEnd,
    kLastEnd,
    kDone,
    kBad
  };
  State framing(char c) noexcept;
  State size_digit(char c) noexcept;

  State state_ = State::kSizeFirst;
  std::uint8_t digits_ = 0;
  std::uint16_t overhead_ = 0;  // bytes of extensions or trailers so far
  std::uint64_t left_ = 0;      // of the chunk's payload
};

}  // namespace sluice::http
