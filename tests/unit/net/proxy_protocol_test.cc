// Raw PROXY headers, whole and in parts, and what is made of them.
#include "net/proxy_protocol.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice::net {
namespace {

using State = ProxyHeader::State;

std::string v2(unsigned char command, unsigned char family, std::string addresses) {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header.push_back(static_cast<char>(0x20 | command));
  header.push_back(static_cast<char>(family));
  header.push_back(static_cast<char>(addresses.size() >> 8));
  header.push_back(static_cast<char>(addresses.size() & 255));
  return header + addresses;
}

const std::string kV4Addresses("\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb", 12);

TEST(ProxyProtocol, TextHeaderNamesTheClient) {
  const ProxyHeader header = parse_proxy_header("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nrest");
  ASSERT_EQ(header.state, State::kDone);
  EXPECT_EQ(header.size_bytes, 45u);
  EXPECT_EQ(header.source->address().to_string(), "192.0.2.1");
  EXPECT_EQ(header.source->port(), 56324);
  EXPECT_EQ(parse_proxy_header("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n").source->address().to_string(),
            "2001:db8::1");
  EXPECT_FALSE(parse_proxy_header("PROXY UNKNOWN whatever\r\n").source);
}

TEST(ProxyProtocol, BinaryHeaderNamesTheClient) {
  const ProxyHeader header = parse_proxy_header(v2(1, 0x11, kV4Addresses));
  ASSERT_EQ(header.state, State::kDone);
  EXPECT_EQ(header.size_bytes, 28u);
  EXPECT_EQ(header.source->address().to_string(), "192.0.2.1");
  EXPECT_EQ(header.source->port(), 56324);
  EXPECT_FALSE(parse_proxy_header(v2(0, 0, "")).source);
  EXPECT_EQ(parse_proxy_header(v2(0, 0, "")).state, State::kDone);
}

TEST(ProxyProtocol, EveryPrefixOfAGoodHeaderWantsMore) {
  for (const std::string& whole :
       {std::string("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), v2(1, 0x11, kV4Addresses)}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(parse_proxy_header(whole.substr(0, size)).state, State::kMore) << size;
  }
}

TEST(ProxyProtocol, NonsenseIsBad) {
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\n"), std::string("PROXY TCP9 a b 1 2\r\n"),
        std::string("PROXY TCP4 2001:db8::1 ::2 1 2\r\n"), std::string("PROXY TCP4 192.0.2.1 198.51.100.2 x 443\r\n"),
        "PROXY " + std::string(200, 'a'), v2(1, 0x11, "short"), v2(2, 0x11, kV4Addresses),
        v2(1, 0x11, std::string(3'000, 'a')), std::string("\x16\x03\x01")})
    EXPECT_EQ(parse_proxy_header(text).state, State::kBad) << text.substr(0, 40);
}

// Whatever the bytes: never beyond the input, and once there is a verdict, more bytes do not change it.
TEST(ProxyProtocol, MutatedHeadersGetOneVerdict) {
  std::mt19937 random(3);
  const std::string seeds[] = {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
                               "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
                               "PROXY UNKNOWN\r\n",
                               v2(1, 0x11, kV4Addresses),
                               v2(1, 0x21, std::string(36, 'a')),
                               v2(0, 0, "")};
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes = seeds[random() % std::size(seeds)];
    for (unsigned changes = random() % 4; changes != 0 && !bytes.empty(); --changes) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1);
          break;
        default:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
      }
    }
    const ProxyHeader whole = parse_proxy_header(bytes);
    EXPECT_LE(whole.size_bytes, bytes.size());
    const ProxyHeader part = parse_proxy_header(std::string_view(bytes).substr(0, random() % (bytes.size() + 1)));
    if (part.state != State::kMore) {
      EXPECT_EQ(part.state, whole.state);
      EXPECT_EQ(part.source, whole.source);
    }
  }
}

}  // namespace
}  // namespace sluice::net
