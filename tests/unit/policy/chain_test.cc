#include <gtest/gtest.h>

#include "policy/policy.h"

namespace sluice::policy {
namespace {

struct Log {
  std::string text;
};

class Spy final : public Policy {
 public:
  Spy(Log& log, std::string name, bool refuse = false, bool cut = false)
      : log_(log), name_(std::move(name)), refuse_(refuse), cut_(cut) {}
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] Decision admit(Call&) noexcept override {
    log_.text += "admit " + name_ + ";";
    Decision decision;
    if (refuse_) decision.verdict = Verdict::kRefuse;
    return decision;
  }
  [[nodiscard]] Extension progress(Call&, std::uint64_t) noexcept override {
    log_.text += "progress " + name_ + ";";
    return cut_ ? Extension::kCut : Extension::kGranted;
  }
  void finish(Call&, const Outcome&) noexcept override { log_.text += "finish " + name_ + ";"; }
  void record(const Call&, const Outcome&) noexcept override { log_.text += "record " + name_ + ";"; }

 private:
  Log& log_;
  std::string name_;
  bool refuse_, cut_;
};

TEST(Chain, StopsAtARefusalAndFinishesInReverseWhatItAdmitted) {
  Log log;
  std::vector<std::unique_ptr<Policy>> policies;
  policies.push_back(std::make_unique<Spy>(log, "a"));
  policies.push_back(std::make_unique<Spy>(log, "b", true));
  policies.push_back(std::make_unique<Spy>(log, "c"));
  const Chain chain(std::move(policies));
  Call call;
  std::size_t admitted = 0;
  EXPECT_EQ(chain.admit(call, admitted).verdict, Verdict::kRefuse);
  chain.finish(call, {}, admitted);
  chain.record(call, {});
  EXPECT_EQ(log.text, "admit a;admit b;finish b;finish a;record a;record b;record c;");
}

TEST(Chain, EveryPolicyCountsProgressAlsoBehindOneThatCuts) {
  Log log;
  std::vector<std::unique_ptr<Policy>> policies;
  policies.push_back(std::make_unique<Spy>(log, "a", false, true));
  policies.push_back(std::make_unique<Spy>(log, "b"));
  const Chain chain(std::move(policies));
  Call call;
  EXPECT_EQ(chain.progress(call, 1), Extension::kCut);
  EXPECT_EQ(log.text, "progress a;progress b;");
}

}  // namespace
}  // namespace sluice::policy
