// Addresses of clients: which networks are trusted, and what of an address is kept.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::net {

using Address = boost::asio::ip::address;

// A set of networks: "10.0.0.0/8", "2001:db8::/32", or one address.
class Networks final {
 public:
  // Nothing if one of them is not a network.
  [[nodiscard]] static std::optional<Networks> parse(std::span<const std::string> texts);
  // An IPv4-mapped IPv6 address counts as its IPv4 one.
  [[nodiscard]] bool contain(const Address& address) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return v4_.empty() && v6_.empty(); }

 private:
  std::vector<boost::asio::ip::network_v4> v4_;
  std::vector<boost::asio::ip::network_v6> v6_;
};

// What is kept of an address: its /24 or /48, as text.
[[nodiscard]] std::string truncated(const Address& address);

// The client as a trusted proxy names it: the last entry of X-Forwarded-For (a list, RFC 7239's forerunner) that is
// not itself a trusted proxy. Nothing if there is none or it is not an address.
[[nodiscard]] std::optional<Address> forwarded_for(std::string_view header, const Networks& trusted) noexcept;

}  // namespace sluice::net
