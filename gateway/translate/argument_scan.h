// Whether the arguments of a call are whole, while they come in pieces.
#pragma once

#include <string_view>

namespace sluice::translate {

// Counts brackets outside of strings in JSON that stands in JSON strings: each piece is the inside of one, escapes and
// all.
// Thread: one.
class ArgumentScan final {
 public:
  void take(std::string_view inside) noexcept;
  // An object was opened and closed.
  [[nodiscard]] bool whole() const noexcept { return closed_; }

 private:
  void take_byte(char c) noexcept;

  unsigned depth_ = 0;
  bool closed_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace sluice::translate
