// Trusted networks, truncated addresses, and the client behind trusted proxies.
#include "net/address.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

Address address(const char* text) { return boost::asio::ip::make_address(text); }

Networks networks(std::vector<std::string> texts) { return Networks::parse(texts).value(); }

TEST(Networks, ContainWhatLiesInThemAndNothingElse) {
  const Networks some = networks({"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"});
  EXPECT_TRUE(some.contain(address("10.255.1.2")));
  EXPECT_TRUE(some.contain(address("192.0.2.7")));
  EXPECT_TRUE(some.contain(address("2001:db8:ffff::1")));
  EXPECT_TRUE(some.contain(address("::ffff:10.1.2.3")));
  EXPECT_FALSE(some.contain(address("11.0.0.1")));
  EXPECT_FALSE(some.contain(address("192.0.2.8")));
  EXPECT_FALSE(some.contain(address("2001:db9::1")));
}

TEST(Networks, NonsenseIsNoNetwork) {
  EXPECT_FALSE(Networks::parse(std::vector<std::string>{"10.0.0.0/33"}));
  EXPECT_FALSE(Networks::parse(std::vector<std::string>{"localhost"}));
}

TEST(Address, IsKeptAsItsNetwork) {
  EXPECT_EQ(truncated(address("203.0.113.77")), "203.0.113.0");
  EXPECT_EQ(truncated(address("::ffff:203.0.113.77")), "203.0.113.0");
  EXPECT_EQ(truncated(address("2001:db8:1:2:3:4:5:6")), "2001:db8:1::");
}

TEST(Address, OfTheClientIsTheLastOneThatNoTrustedProxyHas) {
  const Networks proxies = networks({"10.0.0.0/8"});
  EXPECT_EQ(forwarded_for("1.2.3.4, 198.51.100.9, 10.0.0.2", proxies), address("198.51.100.9"));
  EXPECT_EQ(forwarded_for("198.51.100.9", proxies), address("198.51.100.9"));
  EXPECT_EQ(forwarded_for("10.0.0.2", proxies), std::nullopt);
  EXPECT_EQ(forwarded_for("198.51.100.9, nonsense", proxies), std::nullopt);
  EXPECT_EQ(forwarded_for("", proxies), std::nullopt);
}

}  // namespace
}  // namespace sluice::net
