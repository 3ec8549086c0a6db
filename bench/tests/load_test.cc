// What the load generator reports stands on these two: how it counts events, and how it keeps durations.
#include <gtest/gtest.h>

#include "load/answer_reader.h"
#include "load/histogram.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kStream =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    "b\r\ndata: {a}\n\n\r\n"
    "9\r\n: ping\n\n\r\n"
    "19\r\ndata: {b}\n\ndata: [DONE]\n\n\r\n"
    "0\r\n\r\n";

TEST(AnswerReader, CountsEventsWhateverTheSplit) {
  for (std::size_t piece = 1; piece <= kStream.size(); ++piece) {
    AnswerReader reader;
    Reading reading = Reading::kMore;
    for (std::size_t at = 0; at < kStream.size(); at += piece) {
      ASSERT_EQ(reading, Reading::kMore) << "in pieces of " << piece;
      reading = reader.feed(kStream.substr(at, piece));
    }
    EXPECT_EQ(reading, Reading::kComplete) << "in pieces of " << piece;
    EXPECT_EQ(reader.events(), 2u) << "neither the ping nor [DONE]; in pieces of " << piece;
    EXPECT_TRUE(reader.stream_done());
    EXPECT_TRUE(reader.keep_alive());
  }
}

TEST(AnswerReader, ReadsALengthAndSaysWhoCloses) {
  AnswerReader reader;
  EXPECT_EQ(reader.feed("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{"), Reading::kMore);
  EXPECT_EQ(reader.feed("}"), Reading::kComplete);
  EXPECT_EQ(reader.status(), 503u);
  EXPECT_FALSE(reader.keep_alive());
}

TEST(AnswerReader, RefusesWhatIsNotHttp) {
  AnswerReader reader;
  EXPECT_EQ(reader.feed("220 mail.example\r\n\r\n"), Reading::kBroken);
}

TEST(Histogram, KeepsEveryValueToOnePercent) {
  for (std::uint64_t value = 1; value < 10'000'000'000; value = value * 3 + 1) {
    Histogram histogram;
    histogram.record(value);
    EXPECT_NEAR(static_cast<double>(histogram.at(0.5)), static_cast<double>(value), static_cast<double>(value) * 0.01);
  }
}

TEST(Histogram, TellsQuantilesOfWhatWasRecordedAndMerged) {
  Histogram low, high;
  for (std::uint64_t i = 1; i <= 900; ++i) low.record(i * 1'000);
  for (std::uint64_t i = 901; i <= 1'000; ++i) high.record(i * 1'000);
  low.merge(high);
  EXPECT_EQ(low.count(), 1'000u);
  EXPECT_NEAR(static_cast<double>(low.at(0.5)), 500'000.0, 5'000.0);
  EXPECT_NEAR(static_cast<double>(low.at(0.99)), 990'000.0, 10'000.0);
  EXPECT_EQ(low.max(), 1'000'000u);
}

}  // namespace
}  // namespace sluice::bench
