#include "server/verify_audit.h"

#include <cinttypes>
#include <cstdio>

#include "config/loader.h"
#include "ledger/verify.h"
#include "store/sqlite_store.h"

namespace sluice::server {
namespace {

int fail(const absl::Status& status) {
  std::fprintf(stderr, "sluice: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int verify_audit(const std::string& conf_path) {
  const config::LoadResult loaded = config::load_file(conf_path, {.files = config::Files::kTrust});
  if (!loaded.good()) {
    std::fprintf(stderr, "%s", loaded.report().c_str());
    return 1;
  }
  const auto seals = store::read_seals(loaded.settings.store_path());
  if (!seals.ok()) return fail(seals.status());
  const auto verified = ledger::verify_journal(loaded.settings.journal_dir(), *seals);
  if (!verified.ok()) return fail(verified.status());
  for (const std::string& fault : verified->faults) std::fprintf(stderr, "fault: %s\n", fault.c_str());
  std::printf("%s: %" PRIu64 " records in %" PRIu64 " sealed segments, %" PRIu64 " in %" PRIu64 " not sealed yet\n",
              verified->faults.empty() ? "whole" : "not whole", verified->sealed_records, verified->sealed_segments,
              verified->open_records, verified->open_segments);
  return verified->faults.empty() ? 0 : 1;
}

}  // namespace sluice::server
