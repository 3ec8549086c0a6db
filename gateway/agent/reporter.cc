#include "agent/reporter.h"

#include "base/ids.h"

namespace sluice::agent {

Reporter::Reporter() {
  std::array<char, 16> hex;  // NOLINT: written by write_hex
  boot_ = write_hex(random_id(), hex);
}

void Reporter::set_models(const upstream::ModelList& list, std::uint32_t slots, std::string trouble) {
  std::vector<tunnel::ModelHealth> models;
  models.reserve(list.names.size());
  for (std::size_t i = 0; i < list.names.size(); ++i) {
    const upstream::ModelFacts facts = i < list.facts.size() ? list.facts[i] : upstream::ModelFacts();
    models.push_back({.name = list.names[i],
                      .state = tunnel::ModelState::kReady,
                      .slots = slots,
                      .created = static_cast<std::uint64_t>(facts.created),
                      .context_tokens = facts.context_tokens});
  }
  if (models == models_ && trouble == trouble_) return;
  models_ = std::move(models);
  trouble_ = std::move(trouble);
  changed();
}

void Reporter::set_lacks(std::vector<std::string> endpoints) {
  if (endpoints == lacks_) return;
  lacks_ = std::move(endpoints);
  changed();
}

void Reporter::set_trouble(std::string trouble) {
  if (trouble == trouble_) return;
  trouble_ = std::move(trouble);
  changed();
}

void Reporter::set_unavailable(std::string trouble) {
  bool any = trouble != trouble_;
  trouble_ = std::move(trouble);
  for (tunnel::ModelHealth& model : models_) {
    any = any || model.state != tunnel::ModelState::kUnavailable;
    model.state = tunnel::ModelState::kUnavailable;
  }
  if (any) changed();
}

void Reporter::changed() noexcept {
  ++version_;
  for (net::Signal* listener : listeners_) listener->notify();
}

std::string Reporter::line() {
  tunnel::Health health{++sequence_, models_, trouble_, lacks_, telemetry_};
  health.telemetry.queue = running_ - answering_;
  if (!health.models.empty()) health.models.front().busy = running_;
  return tunnel::encode(health) + "\n";
}

}  // namespace sluice::agent
