// Once warm, nothing that a worker does in the ledger or the journal allocates. Counted, in this thread, by replacing
// operator new; so not in sanitizer builds, which bring an operator new of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <new>

#include "journal/journal.h"
#include "unit/ledger/fixture.h"

namespace {

thread_local std::uint64_t allocations = 0;

void* count_and_allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory =
      std::aligned_alloc(alignment, (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return count_and_allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return count_and_allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace sluice::ledger {
namespace {

class Allocations : public LedgerTest {};

TEST_F(Allocations, ACallAllocatesNothingOnceWarm) {
  const LimitSpec limits{
      .requests_per_minute = 1'000'000'000, .tokens_per_minute = 1'000'000'000'000, .concurrency = 1'000};
  for (const Scope scope : {Scope::kKey, Scope::kUser, Scope::kTenant}) {
    ledger.set_scope(scope, 0, 21, "ada", limits,
                     {tokens(1'000'000'000), micro_usd(1'000'000'000, BudgetPeriod::kDay)});
  }
  ledger.set_model(0, "m",
                   {.limits = limits,
                    .budgets = {tokens(1'000'000'000)},
                    .user_budgets = {tokens(1'000'000'000)},
                    .price = {.prompt = 1, .cached = 1, .completion = 1, .reasoning = 1}});
  const std::string dir =
      (std::filesystem::temp_directory_path() / ("sluice_allocations_" + std::to_string(::getpid()))).string();
  std::filesystem::remove_all(dir);
  {
    auto opened = journal::Journal::open({.dir = dir, .boot_id = 1, .segment_bytes = 8 << 20}, clock, nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    std::uint64_t before = 0;
    for (std::uint64_t n = 1; n <= 3'000; ++n) {
      if (n == 2) before = allocations;
      Ticket ticket;
      ASSERT_FALSE(ledger.take_limits(ticket, kCall, 10).refused());
      ASSERT_FALSE(
          ledger.reserve(ticket, kCall, {.prompt = 10, .output_cap = 10'000, .streamed = true}).refusal.refused());
      ASSERT_EQ(ticket.budget_count, 8u);
      const auto admission =
          (*opened)->admit({.number = n, .day_us = ticket.day_us, .price = ticket.price, .stream = true, .model = "m"});
      for (std::uint64_t counted = 0; counted < 5'000; counted += 500) {
        ledger.count_output(ticket, counted);
        ASSERT_EQ(ledger.extend(ticket, counted), Extended::kGranted);
      }
      (*opened)->progress(n, admission.segment, 5'000);
      const Usage usage = measured(10, 5'000);
      journal::AuditRecord record;
      record.boot_id = 1;
      record.number = n;
      record.admit_segment = admission.segment;
      record.usage = usage;
      record.model = "m";
      ledger.settle(ticket, usage);
      ledger.release_limits(ticket, usage);
      (*opened)->record(std::move(record));
    }
    EXPECT_EQ(allocations - before, 0u);
  }
  std::filesystem::remove_all(dir);
}

TEST_F(Allocations, ARefusalAllocatesNothing) {
  key_budget({tokens(10)});
  (void)call(10, 0);
  Ticket ticket;
  const std::uint64_t before = allocations;
  EXPECT_TRUE(ledger.reserve(ticket, kCall, {.prompt = 10, .output_cap = 1}).refusal.refused());
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace sluice::ledger

#endif
