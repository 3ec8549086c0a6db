// The commands that read files of a gateway by themselves take the same conf file as the gateway.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/keys.h"
#include "journal/journal.h"
#include "server/restore_command.h"
#include "server/verify_audit.h"
#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::server {
namespace {

struct FenceSettings final : config::PolicySettingsOf<FenceSettings> {
  std::uint32_t failures = 3;
  void describe(config::Keys& k) override { k.number("failures", failures, {1, 100}, "wrong keys of an address"); }
  bool operator==(const FenceSettings&) const = default;
};

std::unique_ptr<config::PolicySettings> fence_defaults() { return std::make_unique<FenceSettings>(); }

struct PolicyTables : testing::Test {
  void SetUp() override {
    std::filesystem::create_directory(scratch.file("journal"));
    std::ofstream(journal::Journal::key_path(scratch.file("journal"))) << std::string(32, 'k');
    ASSERT_TRUE(store::make_sqlite(scratch.file("sluice.db"))->connect().ok());
    std::ofstream(conf) << "[server]\nstate_dir = \"" << scratch.path()
                        << "\"\n[policies]\norder = [\"fence\"]\n[policy.fence]\nfailures = 2\n";
  }
  Scratch scratch;
  const std::string conf = scratch.file("sluice.toml");
  const std::vector<config::KnownPolicy> known{{"fence", "keeps out", fence_defaults}};
};

TEST_F(PolicyTables, AreKnownToAuditVerify) {
  testing::internal::CaptureStderr();
  const int exit_code = verify_audit(conf, known, VerifyOutput::kText);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(exit_code, 0);
}

TEST_F(PolicyTables, AreKnownToRestore) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(restore_command(scratch.file("none.backup"), conf, known), 1);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("sluice: not restored: "), 0u) << said;
}

}  // namespace
}  // namespace sluice::server
