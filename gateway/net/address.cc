#include "net/address.h"

#include <algorithm>

#include "base/text.h"

namespace sluice::net {
namespace {

namespace ip = boost::asio::ip;

Address unmapped(const Address& address) noexcept {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return ip::make_address_v4(ip::v4_mapped, address.to_v6());
}

}  // namespace

std::optional<Networks> Networks::parse(std::span<const std::string> texts) {
  Networks networks;
  for (const std::string& text : texts) {
    boost::system::error_code ec;
    const bool prefixed = text.find('/') != std::string::npos;
    if (text.find(':') == std::string::npos) {
      networks.v4_.push_back(ip::make_network_v4(prefixed ? text : text + "/32", ec).canonical());
    } else {
      networks.v6_.push_back(ip::make_network_v6(prefixed ? text : text + "/128", ec).canonical());
    }
    if (ec) return std::nullopt;
  }
  return networks;
}

bool Networks::contain(const Address& address) const noexcept {
  const Address plain = unmapped(address);
  if (plain.is_v4()) {
    return std::ranges::any_of(v4_, [&](const ip::network_v4& network) {
      return (plain.to_v4().to_uint() & network.netmask().to_uint()) == network.network().to_uint();
    });
  }
  return std::ranges::any_of(v6_, [&](const ip::network_v6& network) {
    return ip::network_v6(plain.to_v6(), network.prefix_length()).network() == network.network();
  });
}

std::string truncated(const Address& address) {
  const Address plain = unmapped(address);
  if (plain.is_v4()) return ip::make_address_v4(plain.to_v4().to_uint() & 0xffffff00u).to_string();
  return ip::network_v6(plain.to_v6(), 48).network().to_string();
}

std::optional<Address> forwarded_for(std::string_view header, const Networks& trusted) noexcept {
  while (!header.empty()) {
    const std::size_t comma = header.rfind(',');
    const std::string_view entry = trimmed(comma == std::string_view::npos ? header : header.substr(comma + 1));
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(0, comma);
    boost::system::error_code ec;
    const Address address = ip::make_address(entry, ec);
    if (ec) return std::nullopt;
    if (!trusted.contain(address)) return address;
  }
  return std::nullopt;
}

}  // namespace sluice::net
