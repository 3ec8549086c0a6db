#include "journal/label_text.h"

namespace sluice::journal {
namespace {

// Written by hand: a record allocates nothing.
class LabelWriter final {
 public:
  void add(std::string_view name, std::string_view value) noexcept {
    const std::size_t before = size_;
    const bool fits = put(before == 0 ? '{' : ',') && quote(name) && put(':') && quote(value) && size_ < kRoom;
    if (!fits) size_ = before;
  }
  [[nodiscard]] std::string_view finish() noexcept {
    if (size_ != 0) text_[size_++] = '}';
    return {text_, size_};
  }

 private:
  static constexpr std::size_t kRoom = decltype(AuditRecord::labels)::capacity();

  bool put(char c) noexcept {
    if (size_ == kRoom) return false;
    text_[size_++] = c;
    return true;
  }
  bool quote(std::string_view text) noexcept {
    static constexpr char kHex[] = "0123456789abcdef";
    if (!put('"')) return false;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      bool fits = true;
      if (c == '"' || c == '\\') {
        fits = put('\\') && put(c);
      } else if (byte < 0x20 || byte == 0x7F) {
        fits = put('\\') && put('u') && put('0') && put('0') && put(kHex[byte >> 4]) && put(kHex[byte & 15]);
      } else {
        fits = put(c);
      }
      if (!fits) return false;
    }
    return put('"');
  }

  char text_[kRoom];
  std::size_t size_ = 0;
};

}  // namespace

decltype(AuditRecord::labels) label_text(std::span<const std::pair<std::string, std::string>> labels) noexcept {
  LabelWriter writer;
  for (const auto& [label, value] : labels) writer.add(label, value);
  return writer.finish();
}

}  // namespace sluice::journal
