#include "plugins/fixture.h"

namespace sluice::plugins {
namespace {

class ModelAccess : public PolicyTest {};

TEST_F(ModelAccess, AKeyWithoutAListMayUseEveryModel) {
  chain_of({"model_access"});
  policy::Call call;
  fill(call);
  EXPECT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
}

TEST_F(ModelAccess, AModelThatIsNotListedLooksLikeOneThatDoesNotExist) {
  chain_of({"model_access"});
  const std::vector<std::string> allowed{"a", "b"};
  policy::Call call;
  fill(call);
  call.caller.allowed_models = allowed;
  const policy::Decision decision = admit(call);
  EXPECT_EQ(decision.verdict, policy::Verdict::kRefuse);
  EXPECT_EQ(decision.error.kind, ErrorKind::kModelNotFound);
  EXPECT_EQ(decision.message, "") << "the exchange writes the words that every unknown model gets";
  EXPECT_EQ(decision.error.http_status, 0);
  call.model = "b";
  EXPECT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
}

}  // namespace
}  // namespace sluice::plugins
