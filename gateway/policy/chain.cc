#include <utility>

#include "policy/policy.h"

namespace sluice::policy {

Chain::Chain(std::vector<std::unique_ptr<Policy>> policies) : policies_(std::move(policies)) {
  for (const auto& policy : policies_) {
    if (policy->asks_at_arrival()) at_arrival_.push_back(policy.get());
  }
}
Chain::~Chain() = default;

Decision Chain::arrive(const Peer& peer) const noexcept {
  for (Policy* policy : at_arrival_) {
    Decision decision = policy->arrive(peer);
    if (decision.verdict == Verdict::kRefuse) return decision;
  }
  return Decision::go_on();
}

Decision Chain::admit(Call& call, std::size_t& admitted) const noexcept {
  for (admitted = 0; admitted < policies_.size();) {
    // Counted before its answer is known: a policy that refuses may hold something too, and finish() frees it.
    Decision decision = policies_[admitted++]->admit(call);
    if (decision.verdict == Verdict::kRefuse) return decision;
  }
  return Decision::go_on();
}

// Every policy counts, also behind one that cuts: what passed has passed.
Extension Chain::progress(Call& call, std::uint64_t completion_tokens) const noexcept {
  Extension worst = Extension::kGranted;
  for (const auto& policy : policies_) {
    if (policy->progress(call, completion_tokens) == Extension::kCut) worst = Extension::kCut;
  }
  return worst;
}

void Chain::finish(Call& call, const Outcome& outcome, std::size_t admitted) const noexcept {
  while (admitted > 0) policies_[--admitted]->finish(call, outcome);
}

void Chain::record(const Call& call, const Outcome& outcome) const noexcept {
  for (const auto& policy : policies_) policy->record(call, outcome);
}

void Chain::authentication_failed(const Peer& peer, CredentialFailure failure) const noexcept {
  for (const auto& policy : policies_) policy->authentication_failed(peer, failure);
}

}  // namespace sluice::policy
