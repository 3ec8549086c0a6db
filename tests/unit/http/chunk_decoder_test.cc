#include "http/h1/chunk_decoder.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice::http::h1 {
namespace {

using ChunkStep = ChunkDecoder::Step;

struct Decoded {
  ChunkStep step = ChunkStep::kMore;
  std::string payload;
  std::string rest;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view coded, std::size_t piece_bytes) {
  ChunkDecoder decoder;
  Decoded decoded;
  for (std::size_t at = 0; at < coded.size() && decoded.step == ChunkStep::kMore; at += piece_bytes) {
    std::string piece(coded.substr(at, piece_bytes));
    const ChunkDecoder::Out out = decoder.decode(piece.data(), piece.size());
    EXPECT_LE(out.payload, out.used);
    EXPECT_LE(out.used, piece.size());
    EXPECT_TRUE(out.step != ChunkStep::kMore || out.used == piece.size());
    decoded.step = out.step;
    decoded.payload.append(piece.data(), out.payload);
    if (out.step == ChunkStep::kDone)
      decoded.rest = piece.substr(out.used) + std::string(coded.substr(std::min(at + piece_bytes, coded.size())));
  }
  return decoded;
}

struct CodedRow {
  const char* what;
  std::string coded;
  ChunkStep step;
  const char* payload;
  const char* rest = "";
};

const CodedRow kCoded[] = {
    {"one chunk", "5\r\nhello\r\n0\r\n\r\n", ChunkStep::kDone, "hello"},
    {"several chunks and what follows", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET /", ChunkStep::kDone, "hello", "GET /"},
    {"nothing", "0\r\n\r\n", ChunkStep::kDone, ""},
    {"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", ChunkStep::kDone, "hello"},
    {"capital digits", "A\r\n0123456789\r\n0\r\n\r\n", ChunkStep::kDone, "0123456789"},
    {"extensions", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", ChunkStep::kDone, "hello"},
    {"trailers", "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", ChunkStep::kDone, "hello"},
    {"unfinished", "5\r\nhel", ChunkStep::kMore, "hel"},
    {"line ends in the payload", "4\r\n\r\n\r\n\r\n0\r\n\r\n", ChunkStep::kDone, "\r\n\r\n"},
    {"no size", "\r\nhello\r\n", ChunkStep::kBad, ""},
    {"a bare LF behind the size", "5\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a bare CR behind the size", "5\rhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a bare LF behind the payload", "5\r\nhello\n0\r\n\r\n", ChunkStep::kBad, "hello"},
    {"a bare LF at the end", "0\r\n\n", ChunkStep::kBad, ""},
    {"a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a bare CR in a trailer", "0\r\na: b\rc\r\n\r\n", ChunkStep::kBad, ""},
    {"a space before the size", " 5\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"white space behind the size", "5 \t\r\nhello\r\n0 \r\n\r\n", ChunkStep::kDone, "hello"},
    {"white space around an extension", "5 ; a = b ;\tc=\"d;\\\"e\" \r\nhello\r\n0\r\n\r\n", ChunkStep::kDone, "hello"},
    {"an extension without a name", "5;\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"an extension that is a value", "5;=b\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"an extension without its value", "5;a=\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"an extension of two words", "5;a b\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"an extension with another character", "5;a@b\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a quote without end", "5;a=\"b\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"text behind a quote", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a word behind the size", "5 5\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a trailer without a colon", "0\r\nabc\r\n\r\n", ChunkStep::kBad, ""},
    {"a trailer without a name", "0\r\n: b\r\n\r\n", ChunkStep::kBad, ""},
    {"a space before a trailer's colon", "0\r\na : b\r\n\r\n", ChunkStep::kBad, ""},
    {"a folded trailer", "0\r\na: b\r\n c\r\n\r\n", ChunkStep::kBad, ""},
    {"a request line for a trailer", "0\r\nGET / HTTP/1.1\r\n\r\n", ChunkStep::kBad, ""},
    {"a prefix of C", "0x5\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"a sign", "+5\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"many zeros", "0000000000000000000000005\r\nhello\r\n0000000000000000000000\r\n\r\n", ChunkStep::kDone, "hello"},
    {"too many digits", "1000000000000005\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, ""},
    {"more payload than said", "4\r\nhello\r\n0\r\n\r\n", ChunkStep::kBad, "hell"},
};

TEST(ChunkDecoder, TakesAndRefusesTheSameWhereverTheBytesAreSplit) {
  for (const CodedRow& row : kCoded) {
    for (std::size_t piece = 1; piece <= row.coded.size(); ++piece) {
      const Decoded got = decode(row.coded, piece);
      EXPECT_EQ(got.step, row.step) << row.what << " in pieces of " << piece;
      EXPECT_EQ(got.payload, row.payload) << row.what << " in pieces of " << piece;
      EXPECT_EQ(got.rest, row.rest) << row.what << " in pieces of " << piece;
    }
  }
}

TEST(ChunkDecoder, BoundsExtensionsAndTrailers) {
  EXPECT_EQ(decode(std::string(2'000, '0') + "5\r\nhello\r\n0\r\n\r\n", 100).step, ChunkStep::kBad);
  EXPECT_EQ(decode("5" + std::string(2'000, ' ') + "\r\nhello\r\n0\r\n\r\n", 100).step, ChunkStep::kBad);
  EXPECT_EQ(decode("5;" + std::string(2'000, 'a') + "\r\nhello\r\n0\r\n\r\n", 100).step, ChunkStep::kBad);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 3'000; ++i) trailers += "a: b\r\n";
  EXPECT_EQ(decode(trailers + "\r\n", 100).step, ChunkStep::kBad);
}

TEST(ChunkDecoder, SaysHowMuchMustStillCome) {
  ChunkDecoder decoder;
  std::string bytes = "ffffffff\r\nab";
  const ChunkDecoder::Out out = decoder.decode(bytes.data(), bytes.size());
  EXPECT_EQ(out.payload, 2U);
  EXPECT_EQ(decoder.payload_under_way(), 0xffffffffU - 2);
}

// Whatever the bytes and their split: never beyond its input, and the same verdict as in one piece.
TEST(ChunkDecoder, MutatedBytesGetOneVerdict) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string coded = kCoded[random() % std::size(kCoded)].coded;
    for (unsigned changes = random() % 3; changes != 0 && !coded.empty(); --changes) {
      const std::size_t at = random() % coded.size();
      switch (random() % 3) {
        case 0:
          coded[at] = static_cast<char>(random());
          break;
        case 1:
          coded.erase(at, 1);
          break;
        default:
          coded.insert(at, 1, "\r\n0f;: x"[random() % 8]);
          break;
      }
    }
    EXPECT_EQ(decode(coded, coded.size() + 1), decode(coded, 1 + random() % 5)) << ::testing::PrintToString(coded);
  }
}

}  // namespace
}  // namespace sluice::http::h1
