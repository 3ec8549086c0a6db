#include "store/audit_sink.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "store/sqlite.h"
#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct QueuedAuditSinkTest : testing::Test {
  static journal::AuditRecord record(std::uint64_t boot, std::uint64_t number) {
    journal::AuditRecord r;
    r.boot_id = boot;
    r.number = number;
    r.tenant = "acme";
    return r;
  }
  std::size_t in_store() {
    auto store = *open_sqlite(path);
    return store->audit({}, {}, 1'000'000)->records.size();
  }
  Scratch scratch;
  const std::string path = scratch.file("sluice.db");
};

TEST_F(QueuedAuditSinkTest, EveryRecordOfEveryWorkerIsStoredOnce) {
  constexpr std::uint64_t kEach = 3000;
  QueuedAuditSink sink(*open_sqlite(path, Durability::kCheckpoint), {.capacity = 16'384}, nullptr);
  std::vector<std::thread> workers;
  for (std::uint64_t w = 1; w <= 3; ++w)
    workers.emplace_back([&, w] {
      for (std::uint64_t i = 1; i <= kEach; ++i) sink.record(record(w, i));
    });
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(sink.flush(seconds(60)), QueuedAuditSink::Flushed::kAll);
  EXPECT_EQ(sink.dropped(), 0u);
  EXPECT_EQ(sink.stored(), 3 * kEach);
  EXPECT_EQ(in_store(), 3 * kEach);
}

TEST_F(QueuedAuditSinkTest, WhatIsQueuedAtTheEndIsStored) {
  {
    QueuedAuditSink sink(*open_sqlite(path), {.interval = seconds(60)}, nullptr);
    for (std::uint64_t i = 1; i <= 100; ++i) sink.record(record(1, i));
  }
  EXPECT_EQ(in_store(), 100u);
}

TEST_F(QueuedAuditSinkTest, AStoreThatFailsIsAskedAgainAndNothingIsLostMeanwhile) {
  auto broken = *open_sqlite(path);
  auto outside = *Database::open(path, seconds(5));
  ASSERT_TRUE(outside.exec("ALTER TABLE audit RENAME TO hidden").ok());
  QueuedAuditSink sink(std::move(broken), {.interval = milliseconds(1), .retry_cap = milliseconds(5)}, nullptr);
  for (std::uint64_t i = 1; i <= 10; ++i) sink.record(record(1, i));
  EXPECT_EQ(sink.flush(milliseconds(100)), QueuedAuditSink::Flushed::kNotInTime);
  EXPECT_GE(sink.failures(), 1u);
  ASSERT_TRUE(outside.exec("ALTER TABLE hidden RENAME TO audit").ok());
  EXPECT_EQ(sink.flush(seconds(60)), QueuedAuditSink::Flushed::kAll);
  EXPECT_EQ(in_store(), 10u);
}

TEST_F(QueuedAuditSinkTest, WhatTheStoreHasAndWhatIsQueuedAreTogetherEveryRecordOnce) {
  auto store = *open_sqlite(path);
  QueuedAuditSink sink(*open_sqlite(path), {.batch = 7, .interval = milliseconds(1)}, nullptr);
  for (std::uint64_t i = 1; i <= 300; ++i) {
    sink.record(record(1, i));
    if (i % 50 != 0) continue;
    const auto held = sink.hold_delivery();
    std::multiset<std::uint64_t> seen;
    const auto page = *store->audit({}, {}, 1'000);
    for (const journal::AuditRecord& stored : page.records) seen.insert(stored.number);
    sink.each_queued([&](const journal::AuditRecord& queued) { seen.insert(queued.number); });
    ASSERT_EQ(seen.size(), i);
    ASSERT_EQ(std::set<std::uint64_t>(seen.begin(), seen.end()).size(), i);
  }
}

TEST_F(QueuedAuditSinkTest, WhatFindsNoRoomIsCounted) {
  auto broken = *open_sqlite(path);
  auto outside = *Database::open(path, seconds(5));
  ASSERT_TRUE(outside.exec("ALTER TABLE audit RENAME TO hidden").ok());
  QueuedAuditSink sink(std::move(broken),
                       {.capacity = 8, .batch = 4, .retry_cap = milliseconds(5), .last_try = milliseconds(10)},
                       nullptr);
  for (std::uint64_t i = 1; i <= 100; ++i) sink.record(record(1, i));
  EXPECT_GE(sink.dropped(), 100u - 8 - 4);
  EXPECT_EQ(sink.dropped() + sink.recorded(), 100u);
}

}  // namespace
}  // namespace sluice::store
