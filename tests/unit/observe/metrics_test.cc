#include "observe/metrics.h"

#include <gtest/gtest.h>

#include <thread>

#include "observe/meters.h"

namespace sluice::observe {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SumsWhatEachWorkerCounted) {
  Metrics metrics(2);
  const CounterId calls = metrics.counter("calls_total", "Calls.", label("endpoint", "chat"));
  const GaugeId open = metrics.gauge("open", "Open now.");
  metrics.shard(0).add(calls, 2);
  metrics.shard(1).add(calls);
  metrics.control().add(calls, 10);
  metrics.shard(0).add(open, 3);
  metrics.shard(1).add(open, -5);
  const std::string text = metrics.prometheus();
  EXPECT_TRUE(has_line(text, "# HELP calls_total Calls.")) << text;
  EXPECT_TRUE(has_line(text, "# TYPE calls_total counter")) << text;
  EXPECT_TRUE(has_line(text, "calls_total{endpoint=\"chat\"} 13")) << text;
  EXPECT_TRUE(has_line(text, "open -2")) << text;
}

TEST(Metrics, HistogramsAreCumulativeAndInSeconds) {
  Metrics metrics(1);
  const HistogramId time = metrics.histogram("t_seconds", "Time.", label("a", "b"));
  for (const int us : {400, 600, 2'000'000, 700'000'000}) metrics.shard(0).record(time, std::chrono::microseconds(us));
  const std::string text = metrics.prometheus();
  EXPECT_TRUE(has_line(text, "t_seconds_bucket{a=\"b\",le=\"0.0005\"} 1")) << text;
  EXPECT_TRUE(has_line(text, "t_seconds_bucket{a=\"b\",le=\"0.001\"} 2")) << text;
  EXPECT_TRUE(has_line(text, "t_seconds_bucket{a=\"b\",le=\"600\"} 3")) << text;
  EXPECT_TRUE(has_line(text, "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 4")) << text;
  EXPECT_TRUE(has_line(text, "t_seconds_count{a=\"b\"} 4")) << text;
  EXPECT_TRUE(has_line(text, "t_seconds_sum{a=\"b\"} 702.001")) << text;
}

TEST(Metrics, ASeriesAskedForTwiceIsOne) {
  Metrics metrics(1);
  EXPECT_EQ(metrics.counter("c", "C.", "x=\"1\"").cell, metrics.counter("c", "C.", "x=\"1\"").cell);
  EXPECT_NE(metrics.counter("c", "C.", "x=\"1\"").cell, metrics.counter("c", "C.", "x=\"2\"").cell);
}

TEST(Metrics, AFullTableIsHarmless) {
  Metrics metrics(1);
  for (std::uint32_t i = 0; i < Shard::kCells + 10; ++i)
    metrics.shard(0).add(metrics.counter("c" + std::to_string(i % 7), "C.", std::to_string(i)));
  const HistogramId late = metrics.histogram("late", "Late.");
  metrics.shard(0).record(late, std::chrono::seconds(1));
  EXPECT_EQ(metrics.prometheus().find("late_count"), std::string::npos);
}

TEST(Metrics, PerWorkerGaugesAndReadersAreShown) {
  Metrics metrics(2);
  metrics.shard(1).set(metrics.gauge("lag", "Lag.", "", Across::kWorker), 7);
  metrics.gauge_from("agents", "Agents.", "", [] { return 3.0; });
  const std::string text = metrics.prometheus();
  EXPECT_TRUE(has_line(text, "lag{worker=\"0\"} 0")) << text;
  EXPECT_TRUE(has_line(text, "lag{worker=\"1\"} 7")) << text;
  EXPECT_TRUE(has_line(text, "agents 3")) << text;
}

TEST(Metrics, LabelsAreEscaped) { EXPECT_EQ(label("model", "a\"b\\c\nd"), "model=\"a\\\"b\\\\c\\nd\""); }

TEST(Metrics, AScrapeReadsWhileWorkersCount) {
  Metrics metrics(2);
  const CounterId calls = metrics.counter("calls_total", "Calls.");
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < 2; ++i) {
    workers.emplace_back([&metrics, calls, i] {
      for (int n = 0; n < 100'000; ++n) metrics.shard(i).add(calls);
    });
  }
  for (int n = 0; n < 100; ++n) {
    (void)metrics.counter("more_total", "More.", label("n", std::to_string(n)));
    EXPECT_FALSE(metrics.prometheus().empty());
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_TRUE(has_line(metrics.prometheus(), "calls_total 200000"));
}

TEST(Meters, AnUnknownStatusOrEndpointCountsAsOther) {
  Metrics metrics(1);
  const std::string_view endpoints[] = {"chat.completions"};
  const Meters meters(metrics, endpoints);
  metrics.shard(0).add(meters.requests(0, 200));
  metrics.shard(0).add(meters.requests(9, 418));
  metrics.shard(0).add(meters.end(EndReason::kClientGone));
  const std::string text = metrics.prometheus();
  EXPECT_TRUE(has_line(text, "sluice_requests_total{endpoint=\"chat.completions\",status=\"200\"} 1"));
  EXPECT_TRUE(has_line(text, "sluice_requests_total{endpoint=\"other\",status=\"other\"} 1"));
  EXPECT_TRUE(has_line(text, "sluice_ends_total{reason=\"client_gone\"} 1"));
}

}  // namespace
}  // namespace sluice::observe
