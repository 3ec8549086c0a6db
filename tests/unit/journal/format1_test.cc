// What a gateway of journal format 1 left behind is recovered, delivered and proven by this one.
#include <fstream>
#include <sstream>

#include "support/source_dir.h"
#include "unit/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

constexpr std::uint64_t kStopped = 0x5e0d0ca8ec4b2cc9;  // boot ids of the two gateways
constexpr std::uint64_t kKilled = 0x5ecd662fb1287523;

class Format1 : public JournalTest {
 protected:
  // Writes the recorded files into the journal's folder: format1/segments.txt says what they are.
  Format1() {
    fs::create_directories(dir);
    std::ifstream recorded(std::string(test::kSourceDir) + "/tests/unit/journal/format1/segments.txt");
    std::ofstream file;
    for (std::string line; std::getline(recorded, line);) {
      if (line.starts_with('#')) continue;
      std::istringstream words(line);
      std::string first, second;
      words >> first >> second;
      if (first == "file") {
        std::uintmax_t size = 0;
        words >> size;
        file.close();
        file.open(dir + "/" + second, std::ios::binary);
        file.flush();
        fs::resize_file(dir + "/" + second, size);
        continue;
      }
      file.seekp(std::stoll(first));
      for (std::size_t i = 0; i < second.size(); i += 2)
        file.put(static_cast<char>(std::stoi(second.substr(i, 2), nullptr, 16)));
    }
    file.close();
    // Its store had the seal of what had been delivered.
    const auto sealed = Segment::open(Journal::segment_path(dir, 1));
    const SegmentHeader& header = (*sealed)->header();
    EXPECT_EQ(header.version, 1u);
    EXPECT_EQ(header.state, SegmentState::kDelivered);
    EXPECT_TRUE(store.add_seal({header.sequence, header.records, header.tokens, header.cost_micros, header.mac}).ok());
  }
};

TEST_F(Format1, IsProvenAsItStands) {
  EXPECT_TRUE(faults().empty()) << faults().front();
  const auto verified = verify_journal(dir, *store.seals());
  EXPECT_EQ(verified->sealed_records, 4u);
  EXPECT_EQ(verified->open_records, 8u);
  EXPECT_EQ(verified->tokens, 158u);
  std::fstream file(Journal::segment_path(dir, 1), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(kHeaderBytes + 128 + 96);  // the prompt tokens of the first end
  file.put('x');
  file.close();
  ASSERT_EQ(faults().size(), 1u);
  EXPECT_EQ(faults()[0], "segment 1: was changed after it was sealed");
}

TEST_F(Format1, EveryEndReachesTheStoreAndACallWithoutOneIsCharged) {
  open(99);
  EXPECT_EQ(journal->recovery().segments, 2u);
  EXPECT_EQ(journal->recovery().records, 8u);
  EXPECT_EQ(journal->recovery().settled, 2u);
  EXPECT_EQ(journal->recovery().crashed, 2u);
  EXPECT_EQ(journal->recovery().torn, 0u);
  deliver();
  ASSERT_EQ(store.records.size(), 4u);
  const AuditRecord& whole = stored(kKilled, 256);
  EXPECT_EQ(whole.usage.source, UsageSource::kMeasured);
  EXPECT_EQ(whole.usage.prompt_tokens, 100u);
  EXPECT_EQ(whole.usage.cached_tokens, 40u);
  EXPECT_EQ(whole.usage.completion_tokens, 50u);
  EXPECT_EQ(whole.usage.reasoning_tokens, 20u);
  EXPECT_EQ(whole.cost_micros, 220u);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.end_reason, EndReason::kCompleted);
  EXPECT_EQ(whole.request_id, "req_e2320ebcd5b2096c630a5f3fb89973af");
  EXPECT_EQ(whole.tenant, "acme");
  EXPECT_EQ(whole.user, "ada");
  EXPECT_EQ(whole.model, "fake-model");
  EXPECT_EQ(whole.upstream, "fake");
  EXPECT_EQ(whole.labels, R"({"x-team":"red"})");
  EXPECT_GT(whole.ttft.count(), 0);
  EXPECT_GE(whole.duration, whole.ttft);
  EXPECT_LT(whole.duration, std::chrono::seconds(10));
  EXPECT_GT(whole.bytes_in, 0u);
  EXPECT_GT(whole.bytes_out, 0u);
  EXPECT_EQ(whole.usage.cache_write_tokens, 0u) << "format 1 did not know it";
  EXPECT_EQ(whole.attempts, 0);
  EXPECT_EQ(whole.upstream_cost_micros, kCostUnknown);
  EXPECT_EQ(whole.refused_by, ledger::RefusedBy{});
  EXPECT_EQ(stored(kKilled, 512).status, 404);
  EXPECT_EQ(stored(kKilled, 768).end_reason, EndReason::kCrashed);
  EXPECT_EQ(stored(kKilled, 768).usage.total(), 2u + 168u) << "what it was last seen to generate";
  EXPECT_EQ(stored(kKilled, 768).cost_micros, 2u + 336u);
  EXPECT_EQ(stored(kKilled, 1024).usage.total(), 2u + 7u) << "its reservation";
  settle(1, admit(1));
  deliver();
  open(100);
  deliver();
  EXPECT_EQ(journal->recovery().crashed, 0u);
  EXPECT_EQ(store.records.size(), 5u);
  journal.reset();
  EXPECT_TRUE(faults().empty()) << faults().front();
}

TEST_F(Format1, AnOlderStoreTakesItOnceMore) {
  const auto seen = deliver_again(dir, {.segment = 1, .records = 0});
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(seen->key, 1u);
  open(99);
  deliver();
  EXPECT_EQ(store.records.size(), 6u);
  EXPECT_EQ(stored(kStopped, 257).client_request_id, "mine-1");
  EXPECT_EQ(stored(kStopped, 513).usage.total(), 8u);
}

TEST_F(Format1, ATornSlotIsCutInItsOwnSize) {
  {
    std::fstream file(Journal::segment_path(dir, 2), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kHeaderBytes + 1 * 128 + 100);
    file.put('x');
  }
  open(99);
  EXPECT_EQ(journal->recovery().torn, 1u);
  EXPECT_EQ(journal->recovery().crashed, 3u) << "whose end was torn, and the two that had none";
  deliver();
  EXPECT_EQ(stored(kKilled, 512).status, 404) << "what stands beside it is whole";
}

TEST_F(Format1, OfAnEndWhoseTextIsLostTheTimesAreNotKnown) {
  const std::string path = Journal::segment_path(dir, 2);
  const std::uint64_t text_begin = (*Segment::open(path))->header().text_begin;
  fs::resize_file(path, text_begin);
  fs::resize_file(path, text_begin + 4096);
  open(99);
  deliver();
  EXPECT_EQ(stored(kKilled, 256).usage.prompt_tokens, 100u) << "numbers that stand in the slot";
  EXPECT_EQ(stored(kKilled, 256).ttft.count(), -1) << "0 would be a time";
}

}  // namespace
}  // namespace sluice::journal
