#include <unistd.h>

#include <filesystem>

#include "plugins/fixture.h"

namespace sluice::plugins {
namespace {

struct Store final : journal::UsageStore {
  absl::Status add(std::span<const journal::AuditRecord> batch) override {
    all.insert(all.end(), batch.begin(), batch.end());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ledger::UsageSum>> sums(const ledger::UsageQuery&) override {
    return std::vector<ledger::UsageSum>{};
  }
  absl::Status add_seal(const journal::Seal&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<journal::Seal>> seals() override { return std::vector<journal::Seal>{}; }
  std::vector<journal::AuditRecord> all;
};

struct FullDisk final : journal::JournalDisk {
  int allocate(int fd, std::size_t size_bytes) noexcept override {
    return ++calls > 1 ? ENOSPC : JournalDisk::allocate(fd, size_bytes);
  }
  std::atomic<int> calls{0};
};

class JournalPolicy : public PolicyTest {
 protected:
  JournalPolicy()
      : dir((std::filesystem::temp_directory_path() / ("sluice_plugin_journal_" + std::to_string(::getpid())))
                .string()) {
    std::filesystem::remove_all(dir);
  }
  ~JournalPolicy() override {
    journal.reset();
    std::filesystem::remove_all(dir);
  }
  void open(std::vector<std::string> names, journal::JournalDisk* disk = nullptr) {
    auto opened = journal::Journal::open(
        {.dir = dir, .boot_id = 5, .segment_bytes = 64 << 10, .deliver_interval = std::chrono::hours(1)}, clock, &store,
        nullptr, disk);
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal = *std::move(opened);
    PluginServices with{.ledger = ledger, .audit = *journal, .boot_id = 5, .journal = journal.get()};
    auto made = make_chain(names, with);
    ASSERT_TRUE(made.ok());
    chain = *std::move(made);
  }

  std::string dir;
  Store store;
  FullDisk full_disk;
  std::unique_ptr<journal::Journal> journal;
};

TEST_F(JournalPolicy, EveryAdmittedCallHasItsAdmitAndItsEnd) {
  for (const bool audited : {true, false}) {
    journal.reset();
    store.all.clear();
    open(audited ? std::vector<std::string>{"budget", "audit"} : std::vector<std::string>{"budget"});
    policy::Call call;
    fill(call);
    ASSERT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
    EXPECT_EQ(journal->open_calls(), 1u) << "before anything goes upstream";
    finish(call, completed(10, 20));
    EXPECT_EQ(journal->open_calls(), 0u);
    ASSERT_TRUE(journal->deliver().ok());
    ASSERT_EQ(store.all.size(), 1u);
    EXPECT_EQ(store.all[0].usage.total(), 30u);
    EXPECT_EQ(store.all[0].request_id, "req_1");
  }
}

TEST_F(JournalPolicy, AStreamTellsOnceASecondHowFarItIs) {
  open({"budget", "audit"});
  policy::Call call;
  fill(call);
  call.stream = true;
  ASSERT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
  for (std::uint64_t n = 1; n <= 100; ++n) {
    (void)chain->progress(call, n);
    clock.pass(std::chrono::milliseconds(50));
  }
  finish(call, completed(10, 100));
  journal.reset();
  const auto segment = journal::Segment::open(journal::Journal::segment_path(dir, 1));
  ASSERT_TRUE(segment.ok());
  int told = 0;
  journal::SlotBytes slot;
  for (std::uint64_t i = 0; i < (*segment)->header().records; ++i) {
    told += (*segment)->read(i, slot) == journal::Segment::Read::kRecord && slot.kind == journal::RecordKind::kProgress;
  }
  EXPECT_EQ(told, 4);
}

TEST_F(JournalPolicy, AFullDiskRefusesTheCallWith503AndLeavesNothingReserved) {
  open({"budget", "audit"}, &full_disk);
  key_held_to({}, {{.unit = BudgetUnit::kTokens, .period = BudgetPeriod::kMonth, .amount = 1'000'000'000}});
  policy::Decision decision;
  std::vector<std::unique_ptr<policy::Call>> calls;
  do {
    calls.push_back(std::make_unique<policy::Call>());
    fill(*calls.back());
    decision = admit(*calls.back());
  } while (decision.verdict == policy::Verdict::kGoOn);
  EXPECT_EQ(decision.error.kind, ErrorKind::kUnavailable);
  EXPECT_GT(decision.retry_after.count(), 0);
  for (auto& call : calls) finish(*call, completed(1, 1));
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_EQ(journal->open_calls(), 0u);
}

}  // namespace
}  // namespace sluice::plugins
