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
#include "support/full_record.h"
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
    journal->record(record_of(number, segment, prompt, completion, labels));
  }
  AuditRecord record_of(std::uint64_t number, std::uint32_t segment, std::uint64_t prompt, std::uint64_t completion,
                        std::string_view labels) {
    AuditRecord record = test::full_record(options.boot_id, number);
    record.admit_segment = segment;
    record.day_us = 1;
    record.settled_in = static_cast<ledger::Epoch>(number);
    record.usage.prompt_tokens = prompt, record.usage.completion_tokens = completion;
    record.labels = labels;
    return record;
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
