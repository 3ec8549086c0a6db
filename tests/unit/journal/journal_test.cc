// What a journal keeps, delivers and seals, also through crashes.
#include <sys/mman.h>
#include <sys/wait.h>

#include <fstream>
#include <random>
#include <thread>

#include "unit/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

TEST_F(JournalTest, AnEndReachesTheStoreWithAllItsFields) {
  open(1);
  settle(1, admit(1));
  deliver();
  const AuditRecord& record = stored(1, 1);
  test::expect_same_figures(record, record_of(1, 1, 10, 20, R"({"team":"a"})"));
  EXPECT_EQ(record.model, "m");
  EXPECT_EQ(record.tenant, "acme");
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

TEST_F(JournalTest, AStoreThatIsOlderTakesEverythingBehindItsPositionOnceMore) {
  open(1);
  settle(1, admit(1));
  deliver();
  const JournalPosition position = journal->stored_up_to();
  const auto older = store.records;
  settle(2, admit(2));
  deliver();
  open(2);
  settle(1, admit(1));
  deliver();
  open(3);
  journal.reset();
  const auto newer = store.records;
  ASSERT_EQ(newer.size(), 3u);
  store.records = older;
  const auto seen = deliver_again(dir, position);
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_EQ(seen->tenant, 3u);
  EXPECT_EQ(seen->user, 4u);
  EXPECT_EQ(seen->key, 5u);
  open(4);
  deliver();
  EXPECT_EQ(store.records.size(), newer.size());
  journal.reset();
  EXPECT_TRUE(faults().empty()) << faults().front();
}

TEST_F(JournalTest, AStoreWhoseJournalWasLostGoesOnBehindItsLastSeal) {
  open(1);
  settle(1, admit(1));
  deliver();
  open(2);
  deliver();
  journal.reset();
  ASSERT_FALSE(store.seals()->empty());
  const std::string key = *read_seal_key(dir);
  fs::remove_all(dir);
  fs::create_directories(dir);
  std::ofstream(Journal::key_path(dir), std::ios::binary) << key;
  open(3);
  settle(1, admit(1));
  deliver();
  open(4);
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
}  // namespace sluice::journal
