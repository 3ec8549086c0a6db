// A gzip stream of stored blocks (RFC 1951, 3.2.4): compressed in form alone, which is all that a test of refusing it
// needs.
#pragma once

#include <boost/crc.hpp>
#include <string>
#include <string_view>

namespace sluice::demo {

class StoredGzip final {
 public:
  // Appends `bytes` as blocks, the header before the first.
  void add(std::string& out, std::string_view bytes) {
    constexpr std::size_t kLongestBlock = 65535;
    begin(out);
    crc_.process_bytes(bytes.data(), bytes.size());
    total_ += bytes.size();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kLongestBlock)))
      block(out, bytes.substr(0, kLongestBlock), '\0');
  }

  void finish(std::string& out) {
    begin(out);
    block(out, {}, '\1');
    little_endian(out, crc_.checksum(), 4);
    little_endian(out, total_, 4);
  }

 private:
  void begin(std::string& out) {
    constexpr std::string_view kHeader("\x1F\x8B\x08\0\0\0\0\0\0\xFF", 10);
    if (!begun_) out += kHeader;
    begun_ = true;
  }
  static void little_endian(std::string& out, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  }
  static void block(std::string& out, std::string_view bytes, char last) {
    out += last;
    little_endian(out, bytes.size(), 2);
    little_endian(out, ~bytes.size(), 2);
    out += bytes;
  }

  boost::crc_32_type crc_;
  std::uint64_t total_ = 0;
  bool begun_ = false;
};

}  // namespace sluice::demo
