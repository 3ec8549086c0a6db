// The admin API of agents: who may pair, who is there, who may no longer come.
#include <fmt/format.h>

#include <algorithm>

#include "admin/fields.h"
#include "admin/routes.h"
#include "admin/text.h"

namespace sluice::admin {

absl::StatusOr<identity::Binding> Routes::read_binding(const Request& request) {
  Fields fields(request.body);
  identity::Binding binding{.which = identity::BoundModels::kListed, .models = fields.texts("models"), .tenants = {}};
  const bool any = fields.flag("any_model");
  const std::vector<std::string> tenants = fields.texts("tenants");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (any == !binding.models.empty())
    return absl::InvalidArgumentError(
        "say what the agent may serve: --model M, once for each model, or --any-model for whatever it offers");
  if (any) binding.which = identity::BoundModels::kAny;
  for (const std::string& model : binding.models) {
    if (model.empty() || model.size() > identity::kModelNameBytes)
      return absl::InvalidArgumentError(
          fmt::format("a model's name has 1 to {} bytes; this one has {}", identity::kModelNameBytes, model.size()));
  }
  std::ranges::sort(binding.models);
  for (const std::string& name : tenants) {
    const auto tenant = backend_.accounts.tenant(name);
    if (!tenant.ok()) return tenant.status();
    if (tenant->revoked) return absl::FailedPreconditionError("tenant " + name + " is revoked; name a live one");
    binding.tenants.push_back(tenant->id);
  }
  return binding;
}

Routes::Shown Routes::create_pairing_key(const Principal&, const Request& request) {
  const auto binding = read_binding(request);
  if (!binding.ok()) return binding.status();
  auto made = backend_.agents.create_pairing_key(*binding);
  if (!made.ok()) return made.status();
  json::object shown{{"expires", format_time(made->expires)}};
  add_binding(shown, *binding);
  Answer answer = json_answer(shown);
  answer.secret = std::move(made->secret);
  return answer;
}

Routes::Made Routes::list_agents(const Principal&, const Request&) {
  json::array all;
  for (const identity::Agent& agent : backend_.book.all()) {
    const std::string id = identity::agent_name(agent.id);
    json::object live = agent.revoked ? json::object() : backend_.gateway.agent(id);
    json::object shown{{"id", id},
                       {"name", agent.name},
                       {"state", agent.revoked     ? "revoked"
                                 : agent.suspended ? "suspended"
                                 : live.empty()    ? "away"
                                                   : "connected"},
                       {"fingerprint", agent.fingerprint},
                       {"certificate_expires", format_time(agent.expires)},
                       {"paired", format_time(agent.created)}};
    add_binding(shown, agent.binding);
    for (auto& member : live) shown.insert(member);
    all.push_back(std::move(shown));
  }
  return all;
}

Routes::Made Routes::revoke_agent(const Principal&, const Request& request) {
  const absl::Status done = backend_.agents.revoke(
      request.path[1], [&](const std::string& agent_id) { backend_.gateway.cut_agent(agent_id); });
  if (!done.ok()) return done;
  return json::object{{"id", request.path[1]}, {"state", "revoked"}};
}

}  // namespace sluice::admin
