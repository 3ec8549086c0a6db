#include "plugins/model_access/model_access.h"

#include <algorithm>

namespace sluice::plugins {
namespace {

class ModelAccess final : public policy::Policy {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "model_access"; }

  // A call of no model, as that of a file may be, needs a right to none.
  [[nodiscard]] policy::Decision admit(policy::Call& call) noexcept override {
    const auto allowed = call.caller.allowed_models;
    if (allowed.empty() || call.model.empty() || std::find(allowed.begin(), allowed.end(), call.model) != allowed.end())
      return policy::Decision::go_on();
    // The same words as for a model that does not exist; the exchange writes them where `message` is empty.
    policy::Decision decision;
    decision.verdict = policy::Verdict::kRefuse;
    decision.error = client_error(ErrorKind::kModelNotFound, "");
    return decision;
  }
};

}  // namespace

std::unique_ptr<policy::Policy> make_model_access(const PluginServices&) { return std::make_unique<ModelAccess>(); }

}  // namespace sluice::plugins
