#include "net/proxy_protocol.h"

#include <array>
#include <charconv>
#include <cstring>

namespace sluice::net {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kV1Bytes = 107;
const ProxyHeader kBad = {.state = State::kBad, .size_bytes = 0, .source = {}};
constexpr Error kBadHeader = {ErrorKind::kProtocol, Origin::kClient, Retry::kNo, 0, 0, "not a PROXY protocol header"};

std::string_view next_word(std::string_view& text) noexcept {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  return word;
}

ProxyHeader parse_v1(std::string_view bytes) noexcept {
  const std::size_t end = bytes.substr(0, kV1Bytes).find("\r\n");
  if (end == std::string_view::npos) return bytes.size() >= kV1Bytes ? kBad : ProxyHeader{};
  ProxyHeader header{.state = State::kDone, .size_bytes = end + 2, .source = {}};
  std::string_view line = bytes.substr(6, end - 6);
  const std::string_view family = next_word(line);
  if (family == "UNKNOWN") return header;
  if (family != "TCP4" && family != "TCP6") return kBad;
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(next_word(line), ec);
  next_word(line);  // our own address
  const std::string_view digits = next_word(line);
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (ec || digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return kBad;
  if (address.is_v4() != (family == "TCP4")) return kBad;
  header.source = Endpoint(address, port);
  return header;
}

std::uint16_t read_u16(std::string_view at) noexcept {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(at[0]) << 8 | static_cast<unsigned char>(at[1]));
}

template <class Address>
Endpoint endpoint_at(std::string_view addresses) noexcept {
  typename Address::bytes_type bytes;
  std::memcpy(bytes.data(), addresses.data(), bytes.size());
  return Endpoint(Address(bytes), read_u16(addresses.substr(2 * bytes.size())));
}

ProxyHeader parse_v2(std::string_view bytes) noexcept {
  if (bytes.size() < 16) return {};
  const auto version_command = static_cast<unsigned char>(bytes[12]);
  const auto family = static_cast<unsigned char>(bytes[13]);
  const std::size_t length = read_u16(bytes.substr(14));
  if (version_command >> 4 != 2 || (version_command & 15) > 1 || 16 + length > kProxyHeaderBytes) return kBad;
  if (bytes.size() < 16 + length) return {};
  ProxyHeader header{.state = State::kDone, .size_bytes = 16 + length, .source = {}};
  if ((version_command & 15) == 0) return header;  // LOCAL: a health check of the proxy's own
  const std::string_view addresses = bytes.substr(16, length);
  if (family == 0x11 && length >= 12) {
    header.source = endpoint_at<asio::ip::address_v4>(addresses);
  } else if (family == 0x21 && length >= 36) {
    header.source = endpoint_at<asio::ip::address_v6>(addresses);
  } else if (family == 0x11 || family == 0x21) {
    return kBad;
  }
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) noexcept {
  if (bytes.empty()) return {};
  const auto begins = [bytes](std::string_view with) {
    return with.substr(0, bytes.size()) == bytes.substr(0, with.size());
  };
  if (begins(kSignature)) return bytes.size() < kSignature.size() ? ProxyHeader{} : parse_v2(bytes);
  if (begins("PROXY ")) return bytes.size() < 6 ? ProxyHeader{} : parse_v1(bytes);
  return kBad;
}

Task<Result<std::optional<Endpoint>>> read_proxy_header(Stream& stream, Deadline deadline) {
  std::array<char, kProxyHeaderBytes> bytes;
  // Byte by byte: what follows the header belongs to TLS and must stay in the socket. Once a connection, on few
  // connections.
  for (std::size_t size = 0; size < bytes.size();) {
    const Result<std::size_t> read = co_await stream.read_some({bytes.data() + size, 1}, deadline);
    if (!read) co_return read.error();
    if (*read == 0) co_return client_error(ErrorKind::kClosed, "closed before its PROXY header");
    const ProxyHeader header = parse_proxy_header({bytes.data(), ++size});
    if (header.state == State::kBad) co_return kBadHeader;
    if (header.state == State::kDone) co_return header.source;
  }
  co_return kBadHeader;
}

}  // namespace sluice::net
