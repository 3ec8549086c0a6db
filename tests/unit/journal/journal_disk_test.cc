// A journal whose disk is full or fails.
#include "unit/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

TEST_F(JournalTest, AFullDiskRefusesCallsKeepsRoomForTheirEndsAndRecovers) {
  options.segment_bytes = 8 << 20;
  open(1);
  disk.full = true;
  // The keeper holds one segment ready: both are used up.
  std::vector<std::pair<std::uint64_t, std::uint32_t>> running;
  for (std::uint64_t n = 1;; ++n) {
    const auto admission = journal->admit({.number = n, .model = "m"});
    if (admission.outcome == Journal::Admission::Outcome::kNoRoom) break;
    running.emplace_back(n, admission.segment);
  }
  for (int i = 0; i < 400 && !journal->full(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(running.size(), 0u);
  EXPECT_TRUE(journal->full());
  for (const auto& [n, segment] : running) settle(n, segment);
  EXPECT_EQ(journal->left_out(), 0u) << "every admitted call has room for its end";
  EXPECT_EQ(journal->open_calls(), 0u);
  disk.full = false;
  for (int i = 0; i < 400 && journal->full(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(events.recovered, 1);
  settle(5'000'000, admit(5'000'000));
  deliver();
  EXPECT_EQ(store.records.size(), running.size() + 1);
}

TEST_F(JournalTest, OnAFullDiskCallsAreRefusedBeforeTextsAreLost) {
  const std::string labels = R"({"team":")" + std::string(230, 'x') + R"("})";  // so that slots last longer than texts
  open(1);
  disk.full = true;
  std::uint64_t n = 0;
  for (;;) {
    const auto admission = journal->admit({.number = ++n, .model = "m", .request_id = "req_1"});
    if (admission.outcome == Journal::Admission::Outcome::kNoRoom) break;
    settle(n, admission.segment, 10, 20, labels);
  }
  EXPECT_GT(n, 1'000u);
  deliver();
  EXPECT_EQ(store.records.size(), n - 1);
  for (const auto& [id, record] : store.records) ASSERT_EQ(record.labels, labels) << id.second;
}

TEST_F(JournalTest, OnAFullDiskTheConfMayGoOnUnjournalled) {
  options.segment_bytes = 64 << 10;
  options.on_full = Journal::OnFull::kContinue;
  open(1);
  disk.full = true;
  while (journal->unjournalled() == 0) {
    const auto admission = journal->admit({.number = 1, .model = "m"});
    if (admission.segment != 0) settle(1, admission.segment);
  }
  EXPECT_EQ(journal->admit({.number = 2, .model = "m"}).outcome, Journal::Admission::Outcome::kUnjournalled);
}

TEST_F(JournalTest, AFailingSyncIsToldOnce) {
  open(1);
  disk.broken = true;
  settle(1, admit(1));
  journal->sync_now();
  settle(2, admit(2));
  journal->sync_now();
  EXPECT_EQ(events.disk, 1);
  disk.broken = false;
}

}  // namespace
}  // namespace sluice::journal
