// Compressed bodies are decoded in pieces and within bounds, and nothing of them stays behind.
#include "wire/body_decoder.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <limits>
#include <string>

#include "fuzz/wire/targets.h"
#include "support/mutator.h"

namespace sluice::wire {
namespace {

std::string compressed(Coding coding, const std::string& text) {
  std::string out(text.size() + text.size() / 100 + 1024, '\0');
  if (coding == Coding::kZstd) {
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
  }
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  (void)deflateEnd(&stream);
  return out;
}

// A text that compresses to about a third.
std::string words(std::size_t size_bytes) {
  std::string text;
  for (unsigned n = 1; text.size() < size_bytes; n = n * 1664525 + 1013904223) text += std::to_string(n >> 20) + ' ';
  text.resize(size_bytes);
  return text;
}

struct Allowance final : http::Incoming::Reserve {
  explicit Allowance(std::size_t most_bytes = std::numeric_limits<std::size_t>::max()) : most(most_bytes) {}
  bool grow(std::size_t more_bytes) noexcept override {
    if (granted + more_bytes > most) return false;
    granted += more_bytes;
    return true;
  }
  std::size_t most;
  std::size_t granted = 0;
};

struct Outcome {
  Result<BodyDecoder::Step> last = BodyDecoder::Step::kMore;
  int pieces = 0;
  Buffer out;
};

Outcome decode(Coding coding, std::string_view in, std::size_t limit, Allowance& allowance, HeldBytes* held = nullptr) {
  Outcome outcome;
  BodyDecoder decoder(coding, in, limit, allowance, held);
  while (outcome.last && *outcome.last == BodyDecoder::Step::kMore) {
    const std::size_t before = outcome.out.size();
    outcome.last = decoder.decode(outcome.out);
    ++outcome.pieces;
    EXPECT_LE(outcome.out.size() - before, 2 * BodyDecoder::kPieceBytes);
  }
  return outcome;
}

class BodyDecoderTest : public testing::TestWithParam<Coding> {};
INSTANTIATE_TEST_SUITE_P(Codings, BodyDecoderTest, testing::Values(Coding::kGzip, Coding::kZstd),
                         [](const auto& row) { return row.param == Coding::kGzip ? "Gzip" : "Zstd"; });

TEST_P(BodyDecoderTest, GivesBackWhatWasCompressedPieceByPiece) {
  for (const std::size_t size : {0u, 1u, 60'000u, 65'536u, 5'000'000u}) {
    const std::string text = words(size);
    Allowance allowance;
    const Outcome outcome = decode(GetParam(), compressed(GetParam(), text), 8 << 20, allowance);
    ASSERT_TRUE(outcome.last) << outcome.last.error().what;
    EXPECT_EQ(outcome.out.view(), text);
    EXPECT_GE(outcome.pieces, static_cast<int>(size / (2 * BodyDecoder::kPieceBytes)));
    EXPECT_LE(allowance.granted, size + BodyDecoder::kPieceBytes);
  }
}

TEST_P(BodyDecoderTest, TheLimitIsHeldToTheByte) {
  const std::string in = compressed(GetParam(), words(200'000));
  Allowance enough, little;
  EXPECT_TRUE(decode(GetParam(), in, 200'000, enough).last);
  const Outcome beyond = decode(GetParam(), in, 199'999, little);
  ASSERT_FALSE(beyond.last);
  EXPECT_EQ(beyond.last.error().kind, ErrorKind::kTooLarge);
}

TEST_P(BodyDecoderTest, ABombIsGivenUpAtTheLimit) {
  Allowance allowance;
  const Outcome outcome = decode(GetParam(), compressed(GetParam(), std::string(100 << 20, ' ')), 1 << 20, allowance);
  EXPECT_EQ(outcome.last.error().kind, ErrorKind::kTooLarge);
  EXPECT_LE(allowance.granted, (1u << 20) + 1);
}

TEST_P(BodyDecoderTest, WhatMayBeHeldBoundsIt) {
  const std::string in = compressed(GetParam(), words(2'000'000));
  Allowance little(1'000'000);
  EXPECT_EQ(decode(GetParam(), in, 8 << 20, little).last.error().kind, ErrorKind::kOverloaded);
  Allowance enough;
  HeldBytes nothing(16 * 1024);  // the library's own memory counts too
  EXPECT_EQ(decode(GetParam(), in, 8 << 20, enough, &nothing).last.error().kind, ErrorKind::kOverloaded);
  EXPECT_EQ(nothing.held(), 0u);
  HeldBytes room(16 << 20);
  EXPECT_TRUE(decode(GetParam(), in, 8 << 20, enough, &room).last);
  EXPECT_EQ(room.held(), 0u);
}

TEST_P(BodyDecoderTest, WhatIsCutOrFollowedByBytesIsRefused) {
  const std::string in = compressed(GetParam(), words(1000));
  for (std::size_t size = 0; size < in.size(); ++size) {
    Allowance allowance;
    const Outcome cut = decode(GetParam(), in.substr(0, size), 1 << 20, allowance);
    ASSERT_FALSE(cut.last) << size;
    EXPECT_EQ(cut.last.error().kind, ErrorKind::kBadRequest);
  }
  for (const std::string& behind : {std::string("x"), std::string(1, '\0'), in.substr(0, in.size() - 1)}) {
    Allowance allowance;
    EXPECT_EQ(decode(GetParam(), in + behind, 1 << 20, allowance).last.error().kind, ErrorKind::kBadRequest);
  }
}

TEST_P(BodyDecoderTest, MembersBehindOneAnotherAreOneBodyUnderOneLimit) {
  const std::string text = words(90'000);
  std::string in;
  for (const std::string& part : {text.substr(0, 7), std::string(), text.substr(7)}) in += compressed(GetParam(), part);
  Allowance enough, little;
  const Outcome whole = decode(GetParam(), in, text.size(), enough);
  ASSERT_TRUE(whole.last) << whole.last.error().what;
  EXPECT_EQ(whole.out.view(), text);
  EXPECT_EQ(decode(GetParam(), in, text.size() - 1, little).last.error().kind, ErrorKind::kTooLarge);
}

TEST_P(BodyDecoderTest, EmptyMembersHaveABound) {
  std::string in;
  for (int i = 0; i < 5'000; ++i) in += compressed(GetParam(), "");
  Allowance allowance;
  EXPECT_EQ(decode(GetParam(), in, 1 << 20, allowance).last.error().kind, ErrorKind::kBadRequest);
}

TEST(BodyDecoder, KnowsItsCodings) {
  EXPECT_EQ(coding_of("gzip"), Coding::kGzip);
  EXPECT_EQ(coding_of(" X-GZip "), Coding::kGzip);
  EXPECT_EQ(coding_of("ZSTD"), Coding::kZstd);
  for (const char* other : {"", "deflate", "br", "gzip, zstd", "gzip,", "zstd;q=1"})
    EXPECT_FALSE(coding_of(other)) << other;
}

TEST(BodyDecoderFuzz, NothingPassesItsBounds) {
  test::Mutator mutator(test::corpus("wire/corpus/compressed"));
  for (int i = 0; i < 5000 && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    for (const Coding coding : {Coding::kGzip, Coding::kZstd}) fuzz::decoded(coding, text);
  }
}

}  // namespace
}  // namespace sluice::wire
