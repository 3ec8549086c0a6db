// A request's body that came compressed: gzip (RFC 1952) or zstd (RFC 8878), members or frames and nothing behind them.
// Both formats may hold a thousand times what they take, so that what comes out is bounded while it comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/held_bytes.h"
#include "base/result.h"
#include "http/incoming.h"

namespace sluice::wire {

enum class Coding : std::uint8_t { kGzip, kZstd };

// What we decode, for an Accept-Encoding field.
inline constexpr std::string_view kCodings = "gzip, zstd";

// By the value of a Content-Encoding field; case does not matter. None: another one, or several.
[[nodiscard]] std::optional<Coding> coding_of(std::string_view content_encoding) noexcept;

// Thread:   one at a time.
// Lifetime: of one body. `in` and `reserve` outlive it. Its memory is wiped before it is freed.
class BodyDecoder final {
 public:
  // `limit_bytes`: of what comes out. `reserve` is asked before the output grows; the library's own memory (44 KiB of
  // gzip; 160 KiB of zstd and its window, 8 MiB at most) is counted in `held` while the decoder lives.
  BodyDecoder(Coding coding, std::string_view in, std::size_t limit_bytes, http::Incoming::Reserve& reserve,
              HeldBytes* held);
  ~BodyDecoder();
  BodyDecoder(const BodyDecoder&) = delete;
  BodyDecoder& operator=(const BodyDecoder&) = delete;

  enum class Step : std::uint8_t {
    kMore,  // there is more to decode
    kDone,  // the body is whole
  };
  // Appends the next part of the body to `out`, kPieceBytes at most. `out` holds nothing else.
  // Errors: kTooLarge; kOverloaded (no memory is left for it); kBadRequest: it is damaged, ends too early, has bytes behind
  // its end, or wants a larger window.
  Result<Step> decode(Buffer& out) noexcept;
  static constexpr std::size_t kPieceBytes = 64 * 1024;

 private:
  class Codec;
  class Gzip;
  class Zstd;
  class Memory;

  std::span<char> room(Buffer& out) noexcept;

  std::unique_ptr<Memory> memory_;  // before what lives in it
  std::unique_ptr<Codec> codec_;
  std::string_view in_;
  std::size_t limit_bytes_;
  http::Incoming::Reserve& reserve_;
  std::size_t granted_ = 0;  // of the output, and not used yet
  std::size_t members_ = 0;  // that have ended, with more behind them
};

}  // namespace sluice::wire
