#include "ledger/journal.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/manual_clock.h"
#include "ledger/verify.h"
#include "unit/ledger/memory_store.h"

namespace sluice::ledger {
namespace {

namespace fs = std::filesystem;

// A disk that can be full.
struct SmallDisk final : JournalDisk {
  int allocate(int fd, std::size_t size_bytes) noexcept override {
    return full ? ENOSPC : JournalDisk::allocate(fd, size_bytes);
  }
  int sync(void* begin, std::size_t size_bytes) noexcept override {
    ++syncs;
    return broken ? EIO : JournalDisk::sync(begin, size_bytes);
  }
  std::atomic<bool> full{false}, broken{false};
  std::atomic<int> syncs{0};
};

struct Events final : JournalEvents {
  void journal_full(std::string_view) noexcept override { ++full; }
  void journal_recovered() noexcept override { ++recovered; }
  void store_failed(std::string_view) noexcept override { ++store_down; }
  void store_recovered() noexcept override { ++store_up; }
  void disk_failed(std::string_view) noexcept override { ++disk; }
  std::atomic<int> full{0}, recovered{0}, store_down{0}, store_up{0}, disk{0};
};

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() : dir((fs::temp_directory_path() / ("sluice_journal_" + std::to_string(::getpid()))).string()) {
    fs::remove_all(dir);
  }
  ~JournalTest() override {
    journal.reset();
    fs::remove_all(dir);
  }

  void open(std::uint64_t boot, UsageStore* with = nullptr) {
    journal.reset();
    options.dir = dir;
    options.boot_id = boot;
    auto opened = Journal::open(options, clock, with == nullptr ? &store : with, &events, &disk);
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal = *std::move(opened);
  }
  // As kill -9 leaves it: the directory of a journal that lives on elsewhere is copied.
  void crash() {
    const std::string copy = dir + ".crashed";
    fs::remove_all(copy);
    fs::copy(dir, copy, fs::copy_options::recursive);
    store.down = true;  // what the one that lives on does at its end did not happen
    journal.reset();
    store.down = false;
    fs::remove_all(dir);
    fs::rename(copy, dir);
  }
  std::uint32_t admit(std::uint64_t number, std::uint64_t prompt = 10, std::uint64_t reserved = 100,
                      bool stream = false) {
    const auto admission =
        journal->admit({.number = number,
                        .day_us = 1,
                        .began_us = 2,
                        .tenant_id = 3,
                        .user_id = 4,
                        .key_id = 5,
                        .prompt_estimate = prompt,
                        .reserved_output = reserved,
                        .price = {.prompt = 1'000'000, .cached = 0, .completion = 2'000'000, .reasoning = 0},
                        .stream = stream,
                        .model = "m",
                        .request_id = "req_" + std::to_string(number)});
    EXPECT_EQ(admission.outcome, Journal::Admission::Outcome::kJournalled);
    return admission.segment;
  }
  void settle(std::uint64_t number, std::uint32_t segment, std::uint64_t prompt = 10, std::uint64_t completion = 20,
              std::string_view labels = R"({"team":"a"})") {
    AuditRecord record;
    record.boot_id = options.boot_id;
    record.number = number;
    record.admit_segment = segment;
    record.day_us = 1;
    record.tenant_id = 3, record.user_id = 4, record.key_id = 5;
    record.end_reason = EndReason::kCompleted;
    record.status = 200;
    record.usage = {.source = UsageSource::kMeasured,
                    .prompt_tokens = prompt,
                    .cached_tokens = 1,
                    .completion_tokens = completion,
                    .reasoning_tokens = 2};
    record.cost_micros = 7;
    record.settled_in = static_cast<Epoch>(number);
    record.model = "m";
    record.tenant = "acme";
    record.labels = labels;
    record.ttft = std::chrono::microseconds(123);
    journal->record(std::move(record));
  }
  void deliver() { ASSERT_TRUE(journal->deliver().ok()); }
  const AuditRecord& stored(std::uint64_t boot, std::uint64_t number) { return store.records.at({boot, number}); }
  std::vector<std::string> faults() {
    const auto verified = verify_journal(dir, *store.seals());
    EXPECT_TRUE(verified.ok()) << verified.status();
    return verified->faults;
  }

  std::string dir;
  ManualClock clock;
  MemoryStore store;
  Events events;
  SmallDisk disk;
  Journal::Options options{.segment_bytes = 1 << 20, .deliver_interval = std::chrono::hours(1)};
  std::unique_ptr<Journal> journal;
};

TEST_F(JournalTest, AnEndReachesTheStoreWithAllItsFields) {
  open(1);
  settle(1, admit(1));
  deliver();
  const AuditRecord& record = stored(1, 1);
  EXPECT_EQ(record.usage.prompt_tokens, 10u);
  EXPECT_EQ(record.usage.cached_tokens, 1u);
  EXPECT_EQ(record.usage.completion_tokens, 20u);
  EXPECT_EQ(record.usage.reasoning_tokens, 2u);
  EXPECT_EQ(record.usage.source, UsageSource::kMeasured);
  EXPECT_EQ(record.cost_micros, 7u);
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.model, "m");
  EXPECT_EQ(record.tenant, "acme");
  EXPECT_EQ(record.labels, R"({"team":"a"})");
  EXPECT_EQ(record.ttft.count(), 123);
  EXPECT_EQ(journal->open_calls(), 0u);
}

TEST_F(JournalTest, ACallWithoutAnEndIsChargedAtTheNextStartOnce) {
  open(1);
  settle(1, admit(1));
  (void)admit(2, 10, 100, false);
  const std::uint32_t stream = admit(3, 10, 2'048, true);
  journal->progress(3, stream, 40);
  journal->progress(3, stream, 70);
  (void)admit(4, 10, 2'048, true);
  crash();
  open(2);
  EXPECT_EQ(journal->recovery().crashed, 3u);
  EXPECT_EQ(journal->recovery().settled, 1u);
  deliver();
  EXPECT_EQ(store.records.size(), 4u);
  EXPECT_EQ(stored(1, 1).end_reason, EndReason::kCompleted);
  EXPECT_EQ(stored(1, 2).end_reason, EndReason::kCrashed);
  EXPECT_EQ(stored(1, 2).usage.total(), 110u) << "not streamed: its reservation";
  EXPECT_EQ(stored(1, 3).usage.total(), 80u) << "streamed: what it was seen to generate";
  EXPECT_EQ(stored(1, 3).cost_micros, 10u + 140u);
  EXPECT_EQ(stored(1, 4).usage.total(), 10u);
  EXPECT_EQ(stored(1, 2).model, "m");
  EXPECT_EQ(stored(1, 2).request_id, "req_2");
  EXPECT_EQ(stored(1, 2).usage.source, UsageSource::kEstimated);
  // Again, and once more: nothing is charged twice.
  crash();
  open(3);
  EXPECT_EQ(journal->recovery().crashed, 0u);
  deliver();
  open(4);
  deliver();
  EXPECT_EQ(store.records.size(), 4u);
  EXPECT_EQ(journal->recovery().crashed, 0u);
  EXPECT_TRUE(faults().empty()) << faults().front();
}

TEST_F(JournalTest, ATornTailIsCutAndWhatStandsBeforeItIsKept) {
  open(1);
  settle(1, admit(1));
  settle(2, admit(2));
  crash();
  {
    std::fstream file(Journal::segment_path(dir, 1), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kHeaderBytes + 3 * kSlotBytes + 100);
    file.put('x');  // within the last settle
    file.seekp(kHeaderBytes + 5 * kSlotBytes + 20);
    file.put('y');  // and a slot that was claimed and hardly begun
  }
  open(2);
  EXPECT_EQ(journal->recovery().torn, 2u);
  EXPECT_EQ(journal->recovery().crashed, 1u) << "whose end was torn";
  deliver();
  EXPECT_EQ(store.records.size(), 2u);
  EXPECT_EQ(stored(1, 2).end_reason, EndReason::kCrashed);
  EXPECT_TRUE(faults().empty());
}

TEST_F(JournalTest, SegmentsFollowOneAnotherAndAreSealedInAChain) {
  options.segment_bytes = 64 << 10;
  open(1);
  for (std::uint64_t n = 1; n <= 2'000; ++n) {
    while (true) {
      const auto admission = journal->admit({.number = n, .model = "m"});
      if (admission.outcome == Journal::Admission::Outcome::kJournalled) {
        settle(n, admission.segment);
        break;
      }
      std::this_thread::yield();  // the next segment is being made
    }
  }
  deliver();
  journal.reset();
  EXPECT_EQ(store.records.size(), 2'000u);
  const auto verified = verify_journal(dir, *store.seals());
  ASSERT_TRUE(verified.ok());
  EXPECT_TRUE(verified->faults.empty()) << verified->faults.front();
  EXPECT_GT(verified->sealed_segments, 8u);
  EXPECT_EQ(verified->sealed_records, 4'000u);
  EXPECT_EQ(verified->tokens, 2'000u * 30);
  EXPECT_EQ(verified->tokens, store.tokens());
}

TEST_F(JournalTest, VerifyFindsWhatWasChangedAndWhatIsMissing) {
  options.segment_bytes = 64 << 10;
  for (std::uint64_t boot = 1; boot <= 4; ++boot) {
    open(boot);
    settle(boot, admit(boot));
    deliver();
    journal.reset();
  }
  EXPECT_TRUE(faults().empty()) << faults().front();
  const auto flip = [&](std::uint64_t sequence, std::size_t at) {
    std::fstream file(Journal::segment_path(dir, sequence), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  };
  flip(2, kHeaderBytes + kSlotBytes + 96);  // the prompt tokens of the settle
  ASSERT_EQ(faults().size(), 1u);
  EXPECT_NE(faults()[0].find("segment 2: was changed"), std::string::npos);
  flip(2, kHeaderBytes + kSlotBytes + 96);
  EXPECT_TRUE(faults().empty());
  std::size_t text_at = 0;
  {
    const auto segment = Segment::open(Journal::segment_path(dir, 2));
    text_at = (*segment)->header().text_begin + 64;
  }
  flip(2, text_at);
  EXPECT_TRUE(faults().empty()) << "texts are outside the chain: a person can be erased";
  fs::rename(Journal::segment_path(dir, 3), dir + "/away");
  ASSERT_EQ(faults().size(), 2u);
  EXPECT_EQ(faults()[0], "segment 3: is missing");
  fs::rename(dir + "/away", Journal::segment_path(dir, 3));
  fs::rename(Journal::segment_path(dir, 4), dir + "/away");
  ASSERT_EQ(faults().size(), 1u) << "the end was cut off";
  fs::rename(dir + "/away", Journal::segment_path(dir, 4));
  fs::remove(Journal::segment_path(dir, 1));
  EXPECT_TRUE(faults().empty()) << "the oldest may go when it is old";
}

TEST_F(JournalTest, AStoreThatIsDownOrLosesItsAnswerLosesAndDoublesNothing) {
  open(1);
  settle(1, admit(1));
  store.down = true;
  EXPECT_FALSE(journal->deliver().ok());
  settle(2, admit(2));
  store.down = false;
  store.forget_answer = true;
  EXPECT_FALSE(journal->deliver().ok());
  store.forget_answer = false;
  crash();
  open(2);
  deliver();
  EXPECT_EQ(store.records.size(), 2u);
  EXPECT_EQ(store.tokens(), 60u);
}

TEST_F(JournalTest, WhatTheStoreHasAndWhatItHasNotTakenAreTogetherEveryEndOnce) {
  open(1);
  std::map<std::uint64_t, int> seen;
  const auto look = [&] {
    const auto held = journal->hold_delivery();
    seen.clear();
    for (const auto& [id, record] : store.records) ++seen[id.second];
    journal->each_undelivered([&](const AuditRecord& record) {
      EXPECT_EQ(record.model, "m");
      EXPECT_EQ(record.settled_in, record.number) << "the epoch comes back";
      ++seen[record.number];
    });
  };
  for (std::uint64_t n = 1; n <= 1'000; ++n) {
    settle(n, admit(n));
    if (n % 300 == 0) deliver();
    if (n % 100 != 0) continue;
    look();
    ASSERT_EQ(seen.size(), n);
    for (const auto& [number, times] : seen) ASSERT_EQ(times, 1) << number;
  }
}

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

TEST_F(JournalTest, TwoGatewaysDoNotShareADirectory) {
  open(1);
  const auto second = Journal::open(options, clock, &store, &events, &disk);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
}

TEST_F(JournalTest, DeliveredSegmentsGoWhenTheyAreOld) {
  open(1);
  settle(1, admit(1));
  deliver();
  open(2);
  EXPECT_TRUE(fs::exists(Journal::segment_path(dir, 1)));
  clock.pass(std::chrono::hours(24 * 401));
  settle(2, admit(2));
  deliver();
  open(3);
  EXPECT_FALSE(fs::exists(Journal::segment_path(dir, 1)));
  settle(3, admit(3));
  deliver();
  journal.reset();
  EXPECT_TRUE(faults().empty()) << faults().front();
}

TEST_F(JournalTest, ThreadsAppendBesideOneAnotherWhileSegmentsTurn) {
  options.segment_bytes = 256 << 10;
  options.deliver_interval = std::chrono::milliseconds(1);
  open(1);
  constexpr std::uint64_t kEach = 3'000;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 1; i <= kEach;) {
        const std::uint64_t n = t << 32 | i;
        const auto admission = journal->admit({.number = n, .model = "m"});
        if (admission.outcome != Journal::Admission::Outcome::kJournalled) {
          std::this_thread::yield();
          continue;
        }
        if (i % 7 == 0) journal->progress(n, admission.segment, i);
        settle(n, admission.segment);
        ++i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  deliver();
  EXPECT_EQ(store.records.size(), 4 * kEach);
  for (const auto& [id, record] : store.records) ASSERT_EQ(record.tenant, "acme") << "no end lost its texts";
  journal.reset();
  EXPECT_TRUE(faults().empty()) << faults().front();
}

// What the child has been told was appended, in memory that outlives it.
struct Shared {
  static constexpr std::size_t kThreads = 2, kCalls = 1 << 16;
  std::atomic<std::uint8_t> state[kThreads][kCalls];  // 1 admitted, 2 ended; set when append has returned
};

[[noreturn]] void child(const std::string& dir, std::uint64_t boot, Shared* shared) {
  SystemClock clock;
  auto journal = Journal::open({.dir = dir, .boot_id = boot, .segment_bytes = 256 << 10}, clock, nullptr);
  if (!journal.ok()) ::_exit(9);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < Shared::kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 1; i < Shared::kCalls;) {
        const std::uint64_t n = t << 32 | i;
        const auto admission =
            (*journal)->admit({.number = n, .prompt_estimate = 5, .reserved_output = 3, .model = "m"});
        if (admission.outcome != Journal::Admission::Outcome::kJournalled) continue;
        shared->state[t][i] = 1;
        if (i % 3 != 0) {
          AuditRecord record;
          record.boot_id = boot;
          record.number = n;
          record.admit_segment = admission.segment;
          record.end_reason = EndReason::kCompleted;
          record.usage = {.source = UsageSource::kMeasured, .prompt_tokens = 5, .completion_tokens = 1};
          record.model = "m";
          (*journal)->record(std::move(record));
          shared->state[t][i] = 2;
        }
        ++i;
      }
      for (;;) ::pause();
    });
  }
  for (;;) ::pause();
}

TEST_F(JournalTest, KillNineLosesNoAppendedRecordAndCountsNoneTwice) {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::mt19937 random(7);
  const char* rounds = std::getenv("SLUICE_TORTURE_ROUNDS");
  std::uint64_t expected_records = 0;
  for (int round = 1, end = rounds == nullptr ? 20 : std::atoi(rounds); round <= end; ++round) {
    auto* shared = new (memory) Shared{};
    const auto boot = static_cast<std::uint64_t>(round);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) child(dir, boot, shared);
    while (shared->state[0][1] == 0 && ::waitpid(pid, nullptr, WNOHANG) == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    open(1'000'000 + boot);
    deliver();
    for (std::uint64_t t = 0; t < Shared::kThreads; ++t) {
      for (std::uint64_t i = 1; i < Shared::kCalls; ++i) {
        const std::uint8_t state = shared->state[t][i];
        const auto found = store.records.find({boot, t << 32 | i});
        if (state == 0 && found == store.records.end()) break;
        ASSERT_NE(found, store.records.end()) << "round " << round << " lost " << t << "/" << i;
        const bool crashed = found->second.end_reason == EndReason::kCrashed;
        ASSERT_FALSE(state == 2 && crashed) << "round " << round << " lost the end of " << t << "/" << i;
        ASSERT_EQ(found->second.usage.total(), crashed ? 8u : 6u);
        ++expected_records;
      }
    }
    ASSERT_EQ(store.records.size(), expected_records);
    journal.reset();
  }
  const auto verified = verify_journal(dir, *store.seals());
  ASSERT_TRUE(verified.ok());
  EXPECT_TRUE(verified->faults.empty()) << verified->faults.front();
  EXPECT_EQ(verified->tokens, store.tokens()) << "the sums of journal and store agree";
  ::munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace sluice::ledger
