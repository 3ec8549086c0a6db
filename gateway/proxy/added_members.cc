// Members that the gateway puts into a call's body (an output cap, the wish for usage in a stream) and that the model
// server may not know. Where it refuses the call for one of them, nothing was generated: it is asked again without the
// wish, or with the cap under its other name, and what helped is remembered for this place and model.
#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kRefusalBytes = 64u << 10;

constexpr Error kTakesNoCap = {
    ErrorKind::kUpstream,
    Origin::kUpstream,
    Retry::kNo,
    0,
    0,
    "the model server refuses the output cap that a metered call is sent with; the operator can choose its name: "
    "cap_member of the [[upstream]], or --cap-member of the agent"};

}  // namespace

// What is added for this place: as its settings say, else as it was learnt.
void Exchange::choose_members(upstream::Place& place) {
  added_ = {};
  const Spoken to = spoken();
  const bool usage = call_.stream && to.endpoint.asks_for_usage && !to.asked.wants_usage && place.asks_for_usage();
  const bool cap = to.asked.cap_count == 0 && clamp();
  if (!usage && !cap) return;
  const upstream::RefusedMembers::Known known =
      worker_.refused_members.find(place.name(), call_.model, worker_.clock.mono());
  added_.usage = usage && !known.usage_refused;
  if (!cap) return;
  const CapMember set = place.cap_member();
  added_.cap = to.dialect.cap_member(to.endpoint, set == CapMember::kAuto ? known.cap : set);
}

// The head of an answer is there. Where it refuses a member of ours, the next ask() goes without it, or with the cap's
// other name. Error: it takes no cap, and a metered call does not go without one.
Task<Result<Again>> Exchange::take_back() {
  const http::AnswerHead& head = *upstream_->head();
  const bool added = (added_.usage && !added_.usage_refused) || !added_.cap.empty();
  if (!added || !dialect::is_refusal(head.status) || begun_ != Begun::kNothing) co_return Again::kNo;
  (void)co_await gather(kRefusalBytes);
  if (const Status now = interrupted(); !now) co_return now.error();
  const std::string_view body = upstream_->body().view();
  const dialect::Dialect& its = spoken().dialect;
  if (added_.usage && its.refuses_member(body, its.usage_member())) {
    added_.usage = false;
    added_.usage_refused = true;
    upstream_.reset();
    co_return Again::kYes;
  }
  if (!added_.cap.empty() && its.refuses_member(body, added_.cap)) co_return take_back_cap();
  co_return Again::kNo;
}

Result<Again> Exchange::take_back_cap() {
  upstream_.reset();  // it refused: nothing was generated, and nothing is charged
  const Spoken to = spoken();
  const std::string_view other = to.dialect.other_cap_member(to.endpoint, added_.cap);
  const bool renamable = !other.empty() && lease_->cap_member() == CapMember::kAuto;
  if (!renamable || added_.cap_refused) return kTakesNoCap;
  added_.cap_refused = true;
  added_.cap = other;
  return Again::kYes;
}

// Whether the client's own body holds the name anywhere: then the refusal may have been of its making.
bool Exchange::client_names(std::string_view member) const noexcept {
  return spoken_body().find(member) != std::string_view::npos;
}

// After the place has taken what it was asked without a member that it refused.
void Exchange::remember_refused() {
  const unsigned status = upstream_->head()->status;
  if (status < 200 || status >= 300) return;
  upstream::RefusedMembers::Known known;
  const Spoken to = spoken();
  known.usage_refused = added_.usage_refused && !client_names(to.dialect.usage_member());
  if (added_.cap_refused && !client_names(added_.cap) &&
      !client_names(to.dialect.other_cap_member(to.endpoint, added_.cap))) {
    const bool old_name = added_.cap == to.dialect.cap_member(to.endpoint, CapMember::kMaxTokens);
    known.cap = old_name ? CapMember::kMaxTokens : CapMember::kMaxCompletionTokens;
  }
  if (added_.endpoint_refused) known.lacks = std::uint64_t{1} << match_.number;
  if (!known.usage_refused && known.cap == CapMember::kAuto && known.lacks == 0) return;
  const MonoTime now = worker_.clock.mono();
  const MonoTime until = now + conf_->settings.refused_members;
  worker_.refused_members.learn(lease_->name(), call_.model, known, now, until);
  for (Worker* sibling : worker_.siblings) {
    if (sibling == &worker_) continue;
    sibling->loop.post([=, place = std::string(lease_->name()), model = std::string(call_.model)] {
      sibling->refused_members.learn(place, model, known, now, until);
    });
  }
  if (added_.endpoint_refused)
    worker_.log.info("a model server does not have the endpoint of a call, which was translated; 'dialects' can say so",
                     {{"upstream", lease_->name()}, {"model", call_.model}, {"endpoint", endpoint().name}});
  if (!known.usage_refused && known.cap == CapMember::kAuto) return;
  worker_.log.info("a model server does not know a member that the gateway adds; it is left out or renamed",
                   {{"upstream", lease_->name()},
                    {"model", call_.model},
                    {"usage_in_stream", !known.usage_refused},
                    {"cap_member", known.cap == CapMember::kAuto ? std::string_view("auto") : added_.cap}});
}

}  // namespace sluice::proxy
