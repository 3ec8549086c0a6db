// A journal in a folder of its own, with a store in memory, a disk that can be full and a clock that stands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "base/manual_clock.h"
#include "journal/deliver_again.h"
#include "journal/journal.h"
#include "journal/verify.h"
#include "unit/journal/memory_store.h"

namespace sluice::journal {
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
                    .reasoning_tokens = 2,
                    .cache_write_tokens = 3,
                    .audio_input_tokens = 4,
                    .audio_output_tokens = 5,
                    .images = 6,
                    .seconds = 7,
                    .characters = 8,
                    .searches = 9};
    record.upstream_cost_micros = 6;
    record.price_tier = 1;
    record.attempts = 2;
    record.refused_by = {RefusalKind::kSpent, Scope::kUserModel, BudgetUnit::kMicroUsd, BudgetPeriod::kMonth};
    record.duration = std::chrono::microseconds(456);
    record.bytes_in = 78, record.bytes_out = 90;
    record.cost_micros = 7;
    record.settled_in = static_cast<ledger::Epoch>(number);
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

}  // namespace sluice::journal
