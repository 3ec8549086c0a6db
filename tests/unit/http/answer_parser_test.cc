// Raw answers and what is made of them, whole and split at every byte; base URLs.
#include "http/h1/answer_parser.h"

#include <gtest/gtest.h>

#include "http/url.h"

namespace sluice::http::h1 {
namespace {

using AnswerStep = AnswerParser::Step;

struct Parsed {
  AnswerStep step = AnswerStep::kMore;
  unsigned status = 0;
  std::string body;
  bool keeps_alive = false;
};

// Feeds `raw` in pieces of `piece_bytes`; an answer that is not done then ends with the connection.
Parsed parse(std::string_view raw, std::size_t piece_bytes) {
  AnswerParser parser(1024);
  Buffer body;
  Parsed parsed;
  for (std::size_t at = 0; at < raw.size() && parsed.step == AnswerStep::kMore; at += piece_bytes) {
    std::string piece(raw.substr(at, piece_bytes));
    parsed.step = parser.feed(piece, body);
  }
  if (parsed.step == AnswerStep::kMore) parsed.step = parser.end(AnswerParser::End::kClean);
  if (parser.has_head()) {
    AnswerHead head;
    parser.take_head(head);
    parsed.status = head.status;
  }
  parsed.body = body.view();
  parsed.keeps_alive = parsed.step == AnswerStep::kDone && parser.keeps_alive();
  return parsed;
}

struct AnswerRow {
  const char* what;
  std::string_view raw;
  AnswerStep step;
  unsigned status;
  std::string_view body;
  bool keeps_alive;
};

const AnswerRow kAnswers[] = {
    {"length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", AnswerStep::kDone, 200, "hello", true},
    {"chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
     AnswerStep::kDone, 200, "hello", true},
    {"until close", "HTTP/1.1 200 OK\r\n\r\nhello", AnswerStep::kDone, 200, "hello", false},
    {"close asked", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", AnswerStep::kDone, 200, "",
     false},
    {"1xx skipped", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", AnswerStep::kDone, 204, "", true},
    {"short body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", AnswerStep::kBad, 200, "hello", false},
    {"short chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", AnswerStep::kBad, 200, "hel",
     false},
    {"nothing", "", AnswerStep::kBad, 0, "", false},
    {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"length and chunks", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
     AnswerStep::kBad, 0, "", false},
    {"chunks and length", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
     AnswerStep::kBad, 0, "", false},
    {"no reason", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", AnswerStep::kDone, 200, "", true},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", AnswerStep::kDone, 200, "ok", false},
    {"HTTP/1.0, kept", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", AnswerStep::kDone,
     200, "ok", true},
    {"close among others", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 0\r\n\r\n", AnswerStep::kDone,
     200, "", false},
    {"304 with a length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", AnswerStep::kDone, 304, "", true},
    {"several 1xx",
     "HTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: "
     "2\r\n\r\nok",
     AnswerStep::kDone, 200, "ok", true},
    {"another protocol", "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"two codings", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"chunked twice", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
     AnswerStep::kBad, 0, "", false},
    {"two equal lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello", AnswerStep::kBad, 0,
     "", false},
    {"a list of lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", AnswerStep::kBad, 0, "", false},
    {"a folded field", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"a space before the colon", "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello", AnswerStep::kBad, 0, "", false},
    {"bare LF", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", AnswerStep::kBad, 0, "", false},
    {"a bare CR", "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"HTTP/2", "HTTP/2 200 OK\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", AnswerStep::kBad, 0, "", false},
    {"two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", AnswerStep::kBad, 0, "",
     false},
};

TEST(AnswerParser, TakesEachAnswerForWhatItIsWhereverItIsSplit) {
  for (const AnswerRow& row : kAnswers) {
    for (std::size_t piece = 1; piece <= std::max<std::size_t>(row.raw.size(), 1); ++piece) {
      const Parsed parsed = parse(row.raw, piece);
      EXPECT_EQ(parsed.step, row.step) << row.what << " in pieces of " << piece;
      if (row.step == AnswerStep::kBad) continue;
      EXPECT_EQ(parsed.status, row.status) << row.what << " in pieces of " << piece;
      EXPECT_EQ(parsed.body, row.body) << row.what << " in pieces of " << piece;
      EXPECT_EQ(parsed.keeps_alive, row.keeps_alive) << row.what << " in pieces of " << piece;
    }
  }
}

TEST(AnswerParser, BytesBehindAnAnswerEndTheConnection) {
  const Parsed parsed = parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK", 1024);
  EXPECT_EQ(parsed.step, AnswerStep::kDone);
  EXPECT_FALSE(parsed.keeps_alive);
}

TEST(AnswerParser, ACutConnectionDoesNotEndAnAnswerThatEndsWithIt) {
  AnswerParser parser(1024);
  Buffer body;
  std::string raw = "HTTP/1.1 200 OK\r\n\r\nhal";
  EXPECT_EQ(parser.feed(raw, body), AnswerStep::kMore);
  EXPECT_EQ(parser.end(AnswerParser::End::kTruncated), AnswerStep::kBad);
  EXPECT_EQ(parser.end(AnswerParser::End::kClean), AnswerStep::kDone);
}

TEST(AnswerParser, KeepsWhatIsOnTheListAlone) {
  AnswerParser parser(1024);
  Buffer body;
  std::string raw =
      "HTTP/1.1 429 Slow\r\nContent-Type: a/b\r\nRetry-After: 3\r\nSet-Cookie: c\r\nOpenAI-Version: "
      "v\r\ncontent-length: "
      "0\r\n\r\n";
  EXPECT_EQ(parser.feed(raw, body), AnswerStep::kDone);
  AnswerHead head;
  parser.take_head(head);
  EXPECT_EQ(head.content_type, "a/b");
  EXPECT_EQ(head.retry_after, "3");
  ASSERT_EQ(head.others.size(), 1U);
  EXPECT_EQ(head.others[0].first, "openai-version");
}

TEST(AnswerParser, AHeadBeyondItsLimitIsBad) {
  EXPECT_EQ(parse("HTTP/1.1 200 OK\r\nx: " + std::string(2'000, 'a') + "\r\n\r\n", 100).step, AnswerStep::kBad);
}

TEST(BaseUrl, IsTakenApart) {
  const auto url = parse_base_url("https://models.example:8000/prefix/").value();
  EXPECT_TRUE(url.tls);
  EXPECT_EQ(url.host, "models.example");
  EXPECT_EQ(url.port, 8000);
  EXPECT_EQ(url.prefix, "/prefix");
  EXPECT_EQ(url.authority, "models.example:8000");
  EXPECT_EQ(parse_base_url("http://[::1]:9")->host, "::1");
  EXPECT_EQ(parse_base_url("http://a")->port, 80);
}

TEST(BaseUrl, C47V1AtItsEndMeansTheSameAsNone) {
  for (const char* text : {"http://a", "http://a/", "http://a/v1", "http://a/v1/", "http://a//v1//"})
    EXPECT_EQ(parse_base_url(text)->prefix, "") << text;
  EXPECT_EQ(parse_base_url("https://a/openai/v1")->prefix, "/openai");
  EXPECT_EQ(parse_base_url("https://a/v1/proxy")->prefix, "/v1/proxy");
  EXPECT_EQ(parse_base_url("https://a/x-v1")->prefix, "/x-v1");
  EXPECT_EQ(parse_base_url("https://a/xv1")->prefix, "/xv1");
}

TEST(BaseUrl, NonsenseIsNone) {
  for (const char* text :
       {"", "a", "ftp://a", "http://", "http://a:0", "http://a:x", "http://u@a", "http://a?q", "http://[::1"})
    EXPECT_FALSE(parse_base_url(text)) << text;
}

}  // namespace
}  // namespace sluice::http::h1
