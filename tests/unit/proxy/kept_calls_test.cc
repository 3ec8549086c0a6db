// Calls that are kept: each is asked after in its time, so many at once, and charged once, also where the journal is full.
#include "proxy/kept_calls.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "identity/key_directory.h"
#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::proxy {
namespace {

using std::chrono::milliseconds;
using Question = KeptCalls::Question;

// Questions as they are asked, on another thread.
class Asked final {
 public:
  void add(Question question) {
    const std::lock_guard lock(mutex_);
    questions_.push_back(std::move(question));
    changed_.notify_all();
  }
  // The next `count` of them; fewer: no more came in time.
  std::vector<Question> next(std::size_t count, milliseconds limit = milliseconds(5'000)) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, limit, [&] { return questions_.size() >= count; });
    return std::exchange(questions_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Question> questions_;
};

struct FullJournal final : journal::AuditSink {
  void record(journal::AuditRecord&& record) noexcept override {
    const std::lock_guard lock(mutex);
    records.push_back(record);
    changed.notify_all();
  }
  Recorded record_if_room(const journal::AuditRecord& taken) noexcept override {
    if (full) return Recorded::kNoRoom;
    record(journal::AuditRecord(taken));
    return Recorded::kYes;
  }
  std::size_t count(std::size_t wanted) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(5), [&] { return records.size() >= wanted; });
    return records.size();
  }
  std::atomic<bool> full{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<journal::AuditRecord> records;
};

struct KeptCallsTest : testing::Test {
  KeptCallsTest() {
    const identity::Tenant& tenant = directory.add_tenant(1, "acme", {});
    const identity::User& user = directory.add_user(2, tenant, "ada", {});
    (void)directory.add_key({.id = 3, .user = &user, .hash = {}, .expires = {}, .models = {}, .allowance = {}});
    ledger.set_scope(Scope::kKey, 0, 3, "", {},
                     {{.unit = BudgetUnit::kTokens, .period = BudgetPeriod::kMonth, .amount = 1'000'000}});
    kept.record_to(journal);
    kept.set_asker([this](Question question) { asked.add(std::move(question)); });
  }
  ~KeptCallsTest() override { kept.set_asker(nullptr); }

  void hold(std::uint64_t number, bool charged = false) {
    store::KeptCall call;
    call.id = "resp_" + std::to_string(number);
    call.number = number;
    call.settle_number = 1'000 + number;
    call.user_id = 2;
    call.key_id = 3;
    call.day_us = ledger.day_us();
    call.began = clock.wall();
    call.until = clock.wall() + std::chrono::hours(1);
    call.reserved_output = 100;
    call.charged = charged;
    kept.hold_again(std::move(call), directory.key(3), {.key = 0});
  }
  static KeptState over(std::uint64_t tokens) {
    KeptState state;
    state.what = KeptState::What::kOver;
    state.usage = {.source = UsageSource::kMeasured, .completion_tokens = tokens};
    return state;
  }
  static KeptState runs_on() {
    KeptState state;
    state.what = KeptState::What::kRunsOn;
    return state;
  }

  Scratch scratch;
  ManualClock clock;
  observe::Log log{{.level = observe::Level::kError}};
  identity::KeyDirectory directory;
  ledger::Ledger ledger{clock, {}};
  FullJournal journal;
  Asked asked;
  KeptCalls kept{store::make_sqlite(scratch.file("sluice.db")),
                 ledger,
                 clock,
                 log,
                 {.interval = milliseconds(1'000), .longest_interval = milliseconds(2'000), .at_once = 2}};
};

TEST_F(KeptCallsTest, AreAskedAfterInTheirTimeAndSoManyAtOnce) {
  for (std::uint64_t number = 1; number <= 3; ++number) hold(number);
  EXPECT_EQ(ledger.reserved(), 300u);
  EXPECT_TRUE(asked.next(1, milliseconds(300)).empty()) << "not before its time";
  clock.pass(milliseconds(1'000));
  const std::vector<Question> first = asked.next(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_TRUE(asked.next(1, milliseconds(300)).empty()) << "two at once";
  EXPECT_FALSE(kept.told(first[0], runs_on()));
  EXPECT_TRUE(kept.told(first[1], over(7)));
  const std::vector<Question> second = asked.next(1);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].call.id, "resp_3");
  EXPECT_TRUE(kept.told(second[0], over(7)));
  EXPECT_EQ(ledger.reserved(), 100u);
  clock.pass(milliseconds(1'000));
  const std::vector<Question> third = asked.next(1);
  ASSERT_EQ(third.size(), 1u);
  EXPECT_FALSE(kept.told(third[0], runs_on()));
  clock.pass(milliseconds(1'900));
  EXPECT_TRUE(asked.next(1, milliseconds(300)).empty()) << "the gap has doubled";
  clock.pass(milliseconds(100));
  const std::vector<Question> last = asked.next(1);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_TRUE(kept.told(last[0], over(7)));
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_EQ(journal.count(3), 3u);
  EXPECT_EQ(kept.count(), 0u);
}

TEST_F(KeptCallsTest, OfARevokedKeyAreEndedAtOnce) {
  hold(1);
  directory.revoke(*directory.key(3));
  kept.look_at_revoked();
  const std::vector<Question> questions = asked.next(1);
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_EQ(questions[0].how, Question::How::kEnd);
  (void)kept.told(questions[0], over(7));
  EXPECT_EQ(journal.records.at(0).end_reason, EndReason::kRevoked);
}

TEST_F(KeptCallsTest, ThatWereChargedAsCrashedAreEndedAndNotChargedAgain) {
  hold(1, true);
  EXPECT_EQ(ledger.reserved(), 0u);
  const std::vector<Question> questions = asked.next(1);
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_EQ(questions[0].how, Question::How::kEnd);
  (void)kept.told(questions[0], over(7));
  EXPECT_EQ(kept.count(), 0u);
  EXPECT_TRUE(journal.records.empty());
}

TEST_F(KeptCallsTest, AreRecordedOnceTheJournalHasRoomAndKeptInTheStoreUntilThen) {
  auto other = store::make_sqlite(scratch.file("sluice.db"));
  ASSERT_TRUE(other->connect().ok());
  store::KeptCall stored;
  stored.number = 1;
  ASSERT_TRUE(other->keep_calls(std::vector{stored}, {}).ok());
  hold(1);
  clock.pass(milliseconds(1'000));
  const std::vector<Question> questions = asked.next(1);
  ASSERT_EQ(questions.size(), 1u);
  journal.full = true;
  EXPECT_TRUE(kept.told(questions[0], over(7)));
  EXPECT_EQ(ledger.reserved(), 0u);
  clock.pass(milliseconds(10'000));
  EXPECT_EQ(kept.count(), 0u);
  std::this_thread::sleep_for(milliseconds(300));  // some turns of the thread
  EXPECT_EQ(other->kept_calls()->size(), 1u);
  journal.full = false;
  EXPECT_EQ(journal.count(1), 1u);
  for (int i = 0; i < 100 && !other->kept_calls()->empty(); ++i) {
    clock.pass(milliseconds(1'000));
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_TRUE(other->kept_calls()->empty());
}

}  // namespace
}  // namespace sluice::proxy
