// A policy that lives in this test alone: one file and one row of a table, and it has a place at arrival, settings of
// its own in the conf, and a memory that outlives a reload.
#include <gtest/gtest.h>

#include <atomic>

#include "base/manual_clock.h"
#include "config/loader.h"
#include "plugins/registry.h"

namespace sluice::plugins {
namespace {

struct FenceSettings final : policy::PolicySettingsOf<FenceSettings> {
  std::uint32_t failures = 3;
  std::string spared = "127.0.0.1";
  void describe(policy::Keys& k) override {
    k.number("failures", failures, {1, 100}, "credentials that an address may get wrong");
    k.text("spared", spared, config::TextKind::kAny, "an address that is never refused");
  }
  bool operator==(const FenceSettings&) const = default;
};

struct FenceState {
  std::atomic<std::uint32_t> failures{0};
};

// Refuses everybody who comes after so many failures.
class Fence final : public policy::Policy {
 public:
  explicit Fence(const PluginServices& services)
      : settings_(policy::settings_of<FenceSettings>(services.tables, "fence")),
        state_(services.kept->of<FenceState>("fence")) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "fence"; }
  [[nodiscard]] bool asks_at_arrival() const noexcept override { return true; }
  [[nodiscard]] policy::Decision arrive(const policy::Peer& peer) noexcept override {
    if (state_->failures < settings_.failures || peer.address == settings_.spared) return policy::Decision::go_on();
    policy::Decision decision;
    decision.verdict = policy::Verdict::kRefuse;
    decision.error = client_error(ErrorKind::kForbidden, "too many wrong keys came from here");
    return decision;
  }
  [[nodiscard]] policy::Decision admit(policy::Call&) noexcept override { return policy::Decision::go_on(); }
  void authentication_failed(const policy::Peer&, policy::CredentialFailure failure) noexcept override {
    if (failure != policy::CredentialFailure::kMissing) ++state_->failures;
  }

 private:
  const FenceSettings settings_;
  const std::shared_ptr<FenceState> state_;
};

std::unique_ptr<policy::Policy> make_fence(const PluginServices& services) { return std::make_unique<Fence>(services); }

constexpr PolicyRow kTable[] = {
    {"fence", make_fence, "Who guesses keys is kept out.", policy::defaults_of<FenceSettings>}};

struct ToyPolicyTest : testing::Test {
  config::LoadResult load(std::string_view text) {
    return config::load_text(text, "f.toml", {.files = config::Files::kTrust, .known_policies = known_});
  }
  // What a start or a reload makes of this conf.
  std::unique_ptr<policy::Chain> chain_of(std::string_view text) {
    const config::LoadResult loaded = load(text);
    EXPECT_TRUE(loaded.good()) << loaded.report();
    auto chain =
        make_chain(loaded.settings.policies.order,
                   {.ledger = ledger_, .audit = records_, .kept = &kept_, .tables = loaded.settings.policy}, kTable);
    EXPECT_TRUE(chain.ok()) << chain.status();
    return *std::move(chain);
  }

  struct Records final : journal::AuditSink {
    void record(journal::AuditRecord&&) noexcept override {}
  } records_;
  const std::vector<config::KnownPolicy> known_ = known(kTable);
  ManualClock clock_;
  ledger::Ledger ledger_{clock_, {}};
  policy::KeptState kept_;
};

constexpr std::string_view kOrder = "[policies]\norder = [\"fence\"]\n";
constexpr policy::Peer kStranger{.address = "203.0.113.7", .listener = "0.0.0.0:8443"};
constexpr policy::Peer kSpared{.address = "127.0.0.1", .listener = "0.0.0.0:8443"};

TEST_F(ToyPolicyTest, RefusesAtArrivalByItsOwnSettingsAndRemembersAcrossAReload) {
  const auto before = chain_of(kOrder);
  before->authentication_failed(kStranger, policy::CredentialFailure::kMissing);
  before->authentication_failed(kStranger, policy::CredentialFailure::kWrong);
  before->authentication_failed(kStranger, policy::CredentialFailure::kPairing);
  EXPECT_EQ(before->arrive(kStranger).verdict, policy::Verdict::kGoOn);
  const auto after = chain_of(std::string(kOrder) + "[policy.fence]\nfailures = 2\n");
  EXPECT_EQ(after->arrive(kStranger).verdict, policy::Verdict::kRefuse);
  EXPECT_EQ(after->arrive(kSpared).verdict, policy::Verdict::kGoOn);
}

TEST_F(ToyPolicyTest, ItsSettingsAreCheckedAndComparedLikeAllOthers) {
  EXPECT_NE(
      load("[policy.fence]\nfailures = 200\n").report().find("f.toml:2:12: failures is a whole number from 1 to 100"),
      std::string::npos);
  EXPECT_NE(load("[policy.fence]\nfalures = 2\n").report().find("unknown key falures; did you mean failures?"),
            std::string::npos);
  EXPECT_NE(load("[policy.fense]\n").report().find("unknown policy with settings fense; did you mean fence?"),
            std::string::npos);
  EXPECT_NE(load("policy = 2\n").report().find("policy holds tables: [policy.NAME]"), std::string::npos);
  EXPECT_EQ(load(kOrder).settings, load(kOrder).settings);
  EXPECT_NE(load("[policy.fence]\nfailures = 2\n").settings, load("").settings);
}

}  // namespace
}  // namespace sluice::plugins
