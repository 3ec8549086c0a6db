// Which servers go through which proxy.
#include "config/proxy.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

TEST(Proxy, AUrlIsReadInItsParts) {
  const auto plain = parse_proxy("http://proxy.example:3128/");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "proxy.example");
  EXPECT_EQ(plain->port, 3128);
  EXPECT_EQ(plain->login, "");
  const auto whole = parse_proxy("http://a%40b:p%3a%2f@[::1]:8080");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->host, "::1");
  EXPECT_EQ(whole->port, 8080);
  EXPECT_EQ(whole->login, "a@b:p:/");
  EXPECT_EQ(parse_proxy("http://10.0.0.1")->port, 80);
  for (const char* wrong :
       {"", "proxy:1", "https://proxy", "socks5h://proxy", "http://", "http://:1", "http://p:x", "http://p:65536",
        "http://p:1/x", "http://p?x", "http://user@p", "http://a:%zz@p", "http://[::1", "http://p q"})
    EXPECT_FALSE(parse_proxy(wrong)) << wrong;
}

TEST(Proxy, AListExemptsNamesAddressesAndNetworks) {
  const char* const list = "one.example,.two.example  *.three.example:8443,10.0.0.0/8 192.0.2.7,2001:db8::/32,[::9]:1";
  struct Case {
    const char* host;
    std::uint16_t port;
    bool exempt;
  };
  for (const Case& one : {Case{"one.example", 443, true},
                          {"ONE.example", 443, true},
                          {"api.one.example", 443, true},
                          {"oone.example", 443, false},
                          {"one.example.org", 443, false},
                          {"two.example", 443, true},
                          {"a.two.example", 443, true},
                          {"a.three.example", 8443, true},
                          {"a.three.example", 443, false},
                          {"10.1.2.3", 443, true},
                          {"11.1.2.3", 443, false},
                          {"192.0.2.7", 443, true},
                          {"192.0.2.8", 443, false},
                          {"2001:db8::5", 443, true},
                          {"2001:db9::5", 443, false},
                          {"::9", 1, true},
                          {"::9", 2, false},
                          {"localhost", 443, true},
                          {"127.0.0.9", 443, true},
                          {"::1", 443, true},
                          {"api.example", 443, false}})
    EXPECT_EQ(is_exempt(list, one.host, one.port), one.exempt) << one.host << ":" << one.port;
  EXPECT_TRUE(is_exempt("x, *", "api.example", 443));
  EXPECT_FALSE(is_exempt("", "api.example", 443));
  EXPECT_FALSE(is_exempt(",, .", "api.example", 443));
}

TEST(Proxy, TheEnvironmentIsForHttpsServersThatItDoesNotExempt) {
  const ProxyEnvironment environment{.name = "HTTPS_PROXY", .proxy = "http://p:1", .exempt = "no.example:8443"};
  EXPECT_EQ(find_proxy(environment, "https://api.example/v1")->named_by, "HTTPS_PROXY");
  EXPECT_EQ(find_proxy(environment, "https://no.example")->host, "p");
  for (const char* direct : {"http://api.example", "https://no.example:8443/v1", "https://[::1]:8443", ""})
    EXPECT_EQ(find_proxy(environment, direct)->host, "") << direct;
  EXPECT_EQ(find_proxy({}, "https://api.example")->host, "");
  EXPECT_FALSE(find_proxy({.name = "x", .proxy = "socks5://p", .exempt = ""}, "https://api.example").ok());
}

}  // namespace
}  // namespace sluice::config
