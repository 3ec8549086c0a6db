#include "http/h1/request_check.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice::http::h1 {
namespace {

std::string head_of(std::string_view line, std::string_view fields = "") {
  return std::string(line) + "\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

TEST(RequestCheck, SplitsTheTarget) {
  struct Row {
    const char* line;
    const char* path;
    const char* query;
  };
  for (const Row& row : {Row{"GET /a HTTP/1.1", "/a", ""}, Row{"GET /a?b=c?d HTTP/1.1", "/a", "b=c?d"},
                         Row{"GET /? HTTP/1.1", "/", ""}, Row{"GET http://h/a?b HTTP/1.1", "/a", "b"},
                         Row{"GET HTTPS://h:1?b HTTP/1.1", "/", "b"}, Row{"GET http://h HTTP/1.1", "/", ""},
                         Row{"OPTIONS * HTTP/1.1", "*", ""}, Row{"GET //a HTTP/1.1", "//a", ""}}) {
    const std::string head = head_of(row.line);
    const Result<CheckedHead> checked = check_head(head);
    ASSERT_TRUE(checked) << row.line;
    EXPECT_EQ(checked->path, row.path) << row.line;
    EXPECT_EQ(checked->query, row.query) << row.line;
  }
}

TEST(RequestCheck, SaysHowTheBodyIsFramed) {
  EXPECT_EQ(check_head(head_of("GET / HTTP/1.1"))->framing, Framing::kNone);
  const auto known = check_head(head_of("POST / HTTP/1.1", "Content-Length: 17 \r\n"));
  EXPECT_EQ(known->framing, Framing::kLength);
  EXPECT_EQ(known->content_length, 17U);
  EXPECT_EQ(check_head(head_of("POST / HTTP/1.1", "transfer-ENCODING:chunked\r\n"))->framing, Framing::kChunked);
}

TEST(RequestCheck, ContinueIsOfHttp11) {
  EXPECT_TRUE(check_head(head_of("POST / HTTP/1.1", "Expect: 100-Continue\r\n"))->expects_continue);
  EXPECT_FALSE(check_head(head_of("POST / HTTP/1.0", "Expect: 100-continue\r\n"))->expects_continue);
}

TEST(RequestCheck, TheHostIsOneThatAUrlCouldHave) {
  const auto with = [](std::string_view host, std::string_view line = "GET / HTTP/1.1") {
    return bool(check_head(std::string(line) + "\r\nHost:" + std::string(host) + "\r\n\r\n"));
  };
  for (const char* host : {" a", "a.example", " a.example:443 ", "127.0.0.1:8443", "[::1]", "[2001:db8::1]:443", "a_b",
                           "xn--a-1ga", "a%41", "a:"})
    EXPECT_TRUE(with(host)) << host;
  for (const char* host : {"",     " ",    ":80",    "a b",     "a,b", "a@b",     "user:pass@a",      "a/b",
                           "a?b",  "a#b",  "a\\b",   "a:b",     "a:0", "a:65536", "a:99999999999",    "a:80:80",
                           "::1",  "[::1", "[::1]x", "[::1]:x", "[a]", "[]",      "[fe80::1%25eth0]", "a%4",
                           "a%zz", "<a>",  "a\"",    "\xc3\xa4"})
    EXPECT_FALSE(with(host)) << host;
  EXPECT_TRUE(with("", "GET http://a/ HTTP/1.1")) << "the target names it";
  EXPECT_TRUE(with("", "GET / HTTP/1.0"));
  EXPECT_FALSE(with("a@b", "GET http://a/ HTTP/1.1"));
  for (const char* line : {"GET http:///x HTTP/1.1", "GET http://u@a/ HTTP/1.1", "GET http://a:0/ HTTP/1.1",
                           "GET http://a:70000/ HTTP/1.1"})
    EXPECT_FALSE(with("a", line)) << line;
  EXPECT_FALSE(check_head("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(check_head("GET / HTTP/1.1\r\n\r\n"));
}

TEST(RequestCheck, BoundsTheNumberOfFields) {
  std::string fields;
  for (int i = 0; i < 300; ++i) fields += "a:\r\n";
  const auto checked = check_head(head_of("GET / HTTP/1.1", fields));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind, ErrorKind::kHeadTooLarge);
}

TEST(RequestCheck, EveryControlCharacterIsRefusedEverywhere) {
  const std::string good = head_of("GET /path HTTP/1.1", "name: value\r\n");
  for (int c = 0; c < 256; ++c) {
    if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\r' || c == '\n') continue;
    for (const std::string_view where : {"GET", "path", "HTTP/", "Host", "name", "value"}) {
      std::string head = good;
      head[head.find(where) + 1] = static_cast<char>(c);
      EXPECT_FALSE(check_head(head)) << c << " in " << where;
    }
  }
}

TEST(HeadScan, FindsTheSameEndWhereverTheBytesAreSplit) {
  const std::string head = head_of("GET / HTTP/1.1", "a: b\r\n");
  const std::string all = head + "body\r\n\r\n";
  for (std::size_t first = 0; first < head.size(); ++first) {
    HeadScan scan;
    EXPECT_EQ(scan.scan(all.substr(0, first)), HeadScan::Found::kMore);
    EXPECT_EQ(scan.scan(all), HeadScan::Found::kWhole);
    EXPECT_EQ(scan.size_bytes(), head.size());
  }
  EXPECT_EQ(HeadScan().scan("GET / HTTP/1.1\n"), HeadScan::Found::kBad);
  EXPECT_EQ(HeadScan().scan("\x16\x03"), HeadScan::Found::kBad);
}

// Bytes of all kinds: no crash, and what is taken holds nothing that two readers could take differently.
TEST(RequestCheck, MutatedHeadsAreTakenOnlyWhereTheyAreClear) {
  std::mt19937 random(11);
  const std::string seeds[] = {
      head_of("POST /v1/chat/completions?x=y HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
      head_of("POST http://h/a HTTP/1.1", "Transfer-Encoding: chunked\r\nx: y\r\n"), "GET / HTTP/1.0\r\n\r\n"};
  for (int round = 0; round < 50'000; ++round) {
    std::string head = seeds[random() % std::size(seeds)];
    for (unsigned changes = 1 + random() % 3; changes != 0 && !head.empty(); --changes) {
      const std::size_t at = random() % head.size();
      switch (random() % 3) {
        case 0:
          head[at] = static_cast<char>(random());
          break;
        case 1:
          head.erase(at, 1);
          break;
        default:
          head.insert(at, 1, "\r\n :\t,0"[random() % 7]);
          break;
      }
    }
    const Result<CheckedHead> checked = check_head(head);
    if (!checked) continue;
    EXPECT_TRUE(checked->path.starts_with('/') || checked->path == "*");
    std::string lower = head;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    const bool chunked = lower.find("\r\ntransfer-encoding:") != std::string::npos;
    const bool length = lower.find("\r\ncontent-length:") != std::string::npos;
    EXPECT_FALSE(chunked && length);
    EXPECT_EQ(chunked, checked->framing == Framing::kChunked);
    EXPECT_EQ(length, checked->framing == Framing::kLength);
  }
}

}  // namespace
}  // namespace sluice::http::h1
