#include "server/verify_audit.h"

#include <cinttypes>
#include <cstdio>

#include "base/json.h"
#include "config/loader.h"
#include "journal/verify.h"
#include "store/sqlite_store.h"

namespace sluice::server {
namespace {

int fail(const absl::Status& status) {
  std::fprintf(stderr, "sluice: %s\n", std::string(status.message()).c_str());
  return 1;
}

void show(const journal::Verified& verified, VerifyOutput output) {
  const bool whole = verified.faults.empty();
  if (output == VerifyOutput::kJson) {
    const json::object shown{{"whole", whole},
                             {"sealed_records", verified.sealed_records},
                             {"sealed_segments", verified.sealed_segments},
                             {"open_records", verified.open_records},
                             {"open_segments", verified.open_segments},
                             {"faults", json::array(verified.faults.begin(), verified.faults.end())}};
    std::printf("%s\n", json::serialize(shown).c_str());
    return;
  }
  for (const std::string& fault : verified.faults) std::fprintf(stderr, "fault: %s\n", fault.c_str());
  std::printf("%s: %" PRIu64 " journal records (of calls admitted, going on and ended) in %" PRIu64
              " sealed segments, %" PRIu64 " in %" PRIu64 " not sealed yet\n",
              whole ? "whole" : "not whole", verified.sealed_records, verified.sealed_segments, verified.open_records,
              verified.open_segments);
}

}  // namespace

int verify_audit(const std::string& conf_path, std::span<const config::KnownPolicy> known_policies,
                 VerifyOutput output) {
  const config::LoadResult loaded =
      config::load_file(conf_path, {.files = config::Files::kTrust, .known_policies = known_policies});
  if (!loaded.good()) {
    std::fprintf(stderr, "%s", loaded.report().c_str());
    return 1;
  }
  const auto seals = store::read_seals(loaded.settings.store_path());
  if (!seals.ok()) return fail(seals.status());
  const auto verified = journal::verify_journal(loaded.settings.journal_dir(), *seals);
  if (!verified.ok()) return fail(verified.status());
  show(*verified, output);
  return verified->faults.empty() ? 0 : 1;
}

}  // namespace sluice::server
