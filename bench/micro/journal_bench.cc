// One call in the journal: its admit, and its record at the end.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>

#include "base/clock.h"
#include "journal/journal.h"

namespace {

using namespace sluice;

// Takes everything and keeps nothing: what is measured is the journal.
class NoStore final : public journal::UsageStore {
 public:
  absl::Status add(std::span<const journal::AuditRecord>) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<ledger::UsageSum>> sums(const ledger::UsageQuery&) override {
    return std::vector<ledger::UsageSum>{};
  }
  absl::Status add_seal(const journal::Seal&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<journal::Seal>> seals() override { return std::vector<journal::Seal>{}; }
};

journal::AuditRecord record_of(std::uint64_t number, std::uint32_t segment) {
  journal::AuditRecord record;
  record.boot_id = 1;
  record.number = number;
  record.tenant_id = record.user_id = record.key_id = 1;
  record.admit_segment = segment;
  record.end_reason = EndReason::kCompleted;
  record.status = 200;
  record.usage = {.source = UsageSource::kMeasured, .prompt_tokens = 25, .completion_tokens = 16};
  record.request_id.assign("req_0123456789abcdef0123456789abcdef");
  record.model.assign("bench-json");
  return record;
}

void BM_JournalCall(benchmark::State& state) {
  const auto dir = std::filesystem::temp_directory_path() / ("sluice-bench-journal-" + std::to_string(::getpid()));
  SystemClock clock;
  NoStore store;
  {
    auto journal = journal::Journal::open(
        {.dir = dir.string(), .boot_id = 1, .segment_bytes = 64U << 20, .on_full = journal::Journal::OnFull::kContinue},
        clock, &store);
    if (!journal.ok()) return state.SkipWithError("the journal could not be opened");
    std::uint64_t number = 0;
    for (auto _ : state) {
      const auto admitted = (*journal)->admit({.number = ++number,
                                               .tenant_id = 1,
                                               .user_id = 1,
                                               .key_id = 1,
                                               .prompt_estimate = 25,
                                               .reserved_output = 256,
                                               .model = "bench-json"});
      (*journal)->record(record_of(number, admitted.segment));
    }
    if ((*journal)->unjournalled() != 0) state.SkipWithError("the journal ran out of room");
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
}
BENCHMARK(BM_JournalCall)->Iterations(40'000);  // less than one segment holds: beyond it the disk is measured

}  // namespace
