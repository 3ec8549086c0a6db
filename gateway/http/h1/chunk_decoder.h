// Removes the chunked coding of HTTP/1.1 in place, from bytes as they come.
//
//   1*HEXDIG [extensions] CRLF  payload CRLF  …  1*"0" [extensions] CRLF  *(trailer CRLF)  CRLF     (RFC 9112, 7.1)
//   extensions   *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) BWS
//   trailer      token ":" value
//
// What can be read in one way only is taken: zeros before a size, white space behind it and around the parts of an
// extension. What two readers could take differently is refused: line ends other than CRLF, anything before a size (a
// space, a sign, "0x"), a size of more than 15 digits beside its zeros, an extension or a trailer that is not of the
// form above. Extensions and trailers are dropped and bounded.
// Pure: no call waits, throws or allocates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::http::h1 {

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
    kSpace,           // behind a size or a part of an extension that is whole: ';' or the line's end
    kExtensionFirst,  // behind ';'
    kExtension,
    kExtensionSpace,  // behind an extension's name: '=', too
    kValueFirst,      // behind '='
    kValue,
    kQuoted,
    kQuotedPair,
    kSizeEnd,
    kPayload,
    kPayloadEnd,
    kPayloadLineEnd,
    kTrailerFirst,
    kTrailerName,
    kTrailer,
    kTrailerEnd,
    kLastEnd,
    kDone,
    kBad
  };
  State framing(char c) noexcept;
  State size_digit(char c) noexcept;
  State extension(char c) noexcept;
  State trailer(char c) noexcept;

  State state_ = State::kSizeFirst;
  std::uint8_t digits_ = 0;     // of the size, beside its leading zeros
  std::uint16_t overhead_ = 0;  // bytes of zeros and extensions, or of trailers, so far
  std::uint64_t left_ = 0;      // of the chunk's payload
};

}  // namespace sluice::http::h1
