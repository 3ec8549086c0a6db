#include "server/outages.h"

#include <utility>

namespace sluice::server {
namespace {

constexpr std::chrono::seconds kGap{10};

}  // namespace

void Outages::away(const std::string& upstream, unsigned worker, std::string_view why) {
  const MonoTime now = Mono::now();
  const std::lock_guard lock(mutex_);
  Outage& outage = by_upstream_[upstream];
  if (outage.workers.empty()) outage.began = now;
  outage.workers.insert(worker);
  outage.why = why;
  const bool too_soon = outage.told != MonoTime() && now < outage.told + kGap;
  if (outage.is_told || too_soon) return;
  outage.is_told = true;
  outage.told = now;
  log_.warn(begins_, {{"upstream", upstream}, {"why", why}});
}

void Outages::there(const std::string& upstream, unsigned worker) {
  const std::lock_guard lock(mutex_);
  const auto found = by_upstream_.find(upstream);
  if (found == by_upstream_.end()) return;
  Outage& outage = found->second;
  outage.workers.erase(worker);
  if (!outage.workers.empty() || !std::exchange(outage.is_told, false)) return;
  const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(Mono::now() - outage.began);
  log_.info(ends_, {{"upstream", upstream}, {"seconds_away", lasted.count()}});
}

std::vector<Outages::Trouble> Outages::troubles() const {
  const MonoTime now = Mono::now();
  const std::lock_guard lock(mutex_);
  std::vector<Trouble> troubles;
  for (const auto& [upstream, outage] : by_upstream_) {
    if (outage.workers.empty()) continue;
    troubles.push_back(
        {upstream, begins_, outage.why, std::chrono::duration_cast<std::chrono::seconds>(now - outage.began)});
  }
  return troubles;
}

void Outages::forget(const std::string& upstream, unsigned worker) {
  const std::lock_guard lock(mutex_);
  const auto found = by_upstream_.find(upstream);
  if (found == by_upstream_.end()) return;
  found->second.workers.erase(worker);
  if (found->second.workers.empty()) by_upstream_.erase(found);
}

}  // namespace sluice::server
