#include "observe/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace sluice::observe {
namespace {

// Runs `use` with a log and returns what was written.
template <class Use>
std::string written(Log::Options options, Use use) {
  char* text = nullptr;
  std::size_t size_bytes = 0;
  options.out = ::open_memstream(&text, &size_bytes);
  {
    Log log(options);
    use(log);
  }
  std::fclose(options.out);
  std::string all(text, size_bytes);
  ::free(text);
  return all;
}

TEST(Log, TextLinesHoldTimeLevelEventAndFields) {
  const std::string text = written({}, [](Log& log) {
    log.info("agent connected",
             {{"agent", "gpu-1"}, {"tunnels", 4}, {"lag", -1}, {"share", 0.5}, {"new", true}, {"note", "two words"}});
    log.debug("not shown");
  });
  constexpr std::string_view kStamp = "2026-11-21T02:33:53.751106Z";
  ASSERT_GT(text.size(), kStamp.size());
  for (std::size_t i = 0; i < kStamp.size(); ++i) {
    const bool digit = kStamp[i] >= '0' && kStamp[i] <= '9';
    EXPECT_TRUE(digit ? text[i] >= '0' && text[i] <= '9' : text[i] == kStamp[i]) << text;
  }
  EXPECT_EQ(text.substr(kStamp.size()),
            " info agent connected agent=gpu-1 tunnels=4 lag=-1 share=0.5 new=true note=\"two words\"\n");
}

TEST(Log, JsonLinesAreOneObjectEach) {
  const std::string text = written({.level = Level::kDebug, .format = Format::kJson}, [](Log& log) {
    log.debug("reload", {{"files", 2U}, {"path", "a \"b\"\\"}});
  });
  EXPECT_TRUE(text.ends_with(R"(Z","level":"debug","event":"reload","files":2,"path":"a \"b\"\\"})"
                             "\n"))
      << text;
}

TEST(Log, AccessLinesAreWrittenWhateverTheLevelAndTheRestIsTold) {
  const std::string text = written({.level = Level::kError, .access_rate = 2}, [](Log& log) {
    for (int i = 0; i < 10; ++i) log.access({{"n", i}});
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // the second that the rate counts in
    log.access({{"n", 10}});
  });
  EXPECT_NE(text.find("info call n=10\n"), std::string::npos) << text;
  EXPECT_NE(text.find("info calls left out of the log count="), std::string::npos) << text;
}

TEST(Log, AValueCannotForgeALineOrAField) {
  const std::string text = written({}, [](Log& log) { log.warn("odd", {{"name", "x\n2026 error forged=1"}}); });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_NE(text.find(R"(name="x\u000a2026 error forged=1")"), std::string::npos) << text;
}

TEST(Log, AccessLinesAreBoundedAndTheRestIsCounted) {
  std::uint64_t dropped = 0;
  const std::string text = written({.access_rate = 5}, [&dropped](Log& log) {
    for (int i = 0; i < 1000; ++i) log.access({{"n", i}});
    dropped = log.access_dropped();
  });
  const auto lines = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  EXPECT_GE(lines, 5U);
  EXPECT_LE(lines, 15U);  // a second may turn once or twice
  EXPECT_EQ(lines + dropped, 1000U);
}

TEST(Log, LinesOfManyThreadsStayWhole) {
  const std::string text = written({}, [](Log& log) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log] {
        for (int i = 0; i < 200; ++i) log.info("line", {{"text", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const std::size_t end = text.find('\n', at);
    ASSERT_EQ(text.substr(at, end - at).substr(27), " info line text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    at = end + 1;
  }
  EXPECT_EQ(lines, 800U);
}

}  // namespace
}  // namespace sluice::observe
