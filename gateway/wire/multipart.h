// A form as multipart/form-data (RFC 7578; RFC 2046, 5.1.1), read where it lies:
//
//   --B CRLF  head CRLF CRLF  data CRLF  --B CRLF  head CRLF CRLF  data CRLF  --B-- [CRLF]
//
// The model server reads it too, with a reader that nobody here knows, so whatever two readers could take differently is
// refused: line ends other than CRLF, anything before the first boundary or behind the last, the boundary within data,
// folded or encoded heads, two names of one part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sluice::wire {

// The boundary that a Content-Type of a form names, at most kMostBoundaryBytes.
// Errors (kBadRequest, static text): it is of something else, it names none, or not exactly one, or a charset that is not
// UTF-8.
inline constexpr std::size_t kMostBoundaryBytes = 70;
[[nodiscard]] Result<std::string_view> form_boundary(std::string_view content_type) noexcept;

// Lifetime: views point into the body.
struct FormPart {
  std::string_view name;
  std::string_view data;
  std::string_view length;  // the value of its Content-Length; empty: it has none
  bool file = false;        // it has a file's name
};

// Steps over the parts of one form. Linear time: no byte is looked at more than a bounded number of times.
// Thread:   one.
// Lifetime: the body outlives it.
class FormReader final {
 public:
  static constexpr std::size_t kMostParts = 256;
  static constexpr std::size_t kMostHeadBytes = 4096;  // of one part

  // REQUIRES: `boundary` is form_boundary()'s.
  FormReader(std::string_view body, std::string_view boundary) noexcept;

  enum class Found : std::uint8_t { kPart, kEnd };
  // Errors (kBadRequest, static text): what is wrong with the form; it is not to be read on.
  [[nodiscard]] Result<Found> next(FormPart& part) noexcept;

 private:
  [[nodiscard]] std::string_view delimiter() const noexcept { return {delimiter_.data(), delimiter_bytes_}; }

  std::array<char, kMostBoundaryBytes + 2> delimiter_;
  std::size_t delimiter_bytes_;
  std::string_view rest_;  // begins with a delimiter
  std::size_t parts_ = 0;
};

}  // namespace sluice::wire
