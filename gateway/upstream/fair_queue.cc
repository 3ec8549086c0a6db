#include "upstream/fair_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice::upstream {

bool FairQueue::Order::operator()(const User& a, const User& b) const noexcept {
  return std::tuple(a.mark(), a.served, a.came) < std::tuple(b.mark(), b.served, b.came);
}

bool FairQueue::BySettled::operator()(const User& a, const User& b) const noexcept { return a.settled < b.settled; }

FairQueue::~FairQueue() {
  for (Class& of : classes_) of.users.clear(), of.by_settled.clear();
  for (auto& [key, user] : users_) user.calls.clear();
  gone_.clear();
}

FairQueue::User& FairQueue::user_of(const Who& who, QueueShare share) {
  User& user = users_[who.id * kPriorities + static_cast<std::size_t>(share.priority)];
  user.who = who;
  user.share = share;
  return user;
}

FairQueue::Entry FairQueue::enter(Call& call, const Who& who, QueueShare share, std::uint64_t cost,
                                  const QueueBounds& bounds, MonoTime now) {
  forget(bounds, now);
  if (waiting_ >= bounds.calls) return Entry::kFull;
  User& user = user_of(who, share);
  if (user.calls.size() >= bounds.calls_per_user) return Entry::kUserFull;
  call.user_ = &user;
  call.cost_ = std::clamp<std::uint64_t>(cost, 1, kMostCost);
  call.since_ = now;
  const bool first = user.calls.empty();
  user.calls.push_back(call);
  user.cost += call.cost_;
  ++waiting_;
  if (first) begin_to_wait(user);
  return Entry::kWaits;
}

// Who has been away gets no rounds for it, and comes before those who were served since.
void FairQueue::begin_to_wait(User& user) noexcept {
  Class& of = class_of(user);
  auto& in_gone = static_cast<boost::intrusive::list_base_hook<>&>(user);
  if (in_gone.is_linked()) gone_.erase(gone_.iterator_to(user));
  user.settled = std::max(user.settled, now_of(of));
  user.came = ++count_;
  if (of.users.empty()) of.passed_over = 0;
  put_in(user);
}

void FairQueue::unlink(Call& call) noexcept {
  User& user = *call.user_;
  user.calls.erase(user.calls.iterator_to(call));
  user.cost -= call.cost_;
  --waiting_;
}

void FairQueue::serve(Call& call) noexcept {
  User& user = *call.user_;
  Class& of = class_of(user);
  take_out(user);
  unlink(call);
  of.served = user.settled;
  call.paid_ = rounds(call.cost_, user);
  call.served_before_ = std::exchange(user.served, ++count_);
  user.pending += call.paid_;
  ++user.running;
  put_in(user);
  of.passed_over = 0;
  for (std::size_t lower = static_cast<std::size_t>(user.share.priority) + 1; lower < kPriorities; ++lower) {
    if (!classes_[lower].users.empty()) ++classes_[lower].passed_over;
  }
}

void FairQueue::put_back(Call& call) noexcept {
  User& user = *call.user_;
  take_out(user);
  --user.running;
  user.pending -= call.paid_;
  user.served = std::min(user.served, call.served_before_);
  user.calls.push_front(call);
  user.cost += call.cost_;
  ++waiting_;
  put_in(user);
}

void FairQueue::settle(Call& call, std::uint64_t tokens, MonoTime now) noexcept {
  User& user = *std::exchange(call.user_, nullptr);
  tokens = std::clamp<std::uint64_t>(tokens, 1, kMostCost);
  take_out(user);
  --user.running;
  user.tokens += tokens;
  user.pending -= call.paid_;
  user.settled += rounds(tokens, user);
  put_in(user);
  note_gone(user, now);
}

void FairQueue::leave(Call& call, MonoTime now) noexcept {
  User& user = *call.user_;
  take_out(user);
  unlink(call);
  call.user_ = nullptr;
  put_in(user);
  note_gone(user, now);
}

// Whoever waits stands in its class, in order: out of it while its place there changes.
void FairQueue::take_out(User& user) noexcept {
  if (user.calls.empty()) return;
  Class& of = class_of(user);
  of.users.erase(of.users.iterator_to(user));
  of.by_settled.erase(of.by_settled.iterator_to(user));
}

void FairQueue::put_in(User& user) noexcept {
  if (user.calls.empty()) return;
  Class& of = class_of(user);
  of.users.insert(user);
  of.by_settled.insert(user);
}

void FairQueue::note_gone(User& user, MonoTime now) noexcept {
  if (!user.calls.empty() || user.running != 0) return;
  user.gone = now;
  gone_.push_back(user);
}

// Whoever still owes while others wait is remembered, or coming back would pay the debt; yet not more users than may
// wait.
void FairQueue::forget(const QueueBounds& bounds, MonoTime now) noexcept {
  constexpr std::size_t kLeast = 64;
  const std::size_t most = std::max(bounds.calls, kLeast);
  while (!gone_.empty()) {
    User& first = gone_.front();
    const Class& of = class_of(first);
    const bool owes = !of.users.empty() && first.settled > now_of(of);
    if (gone_.size() <= most && (owes || now - first.gone < bounds.memory)) return;
    forget(first);
  }
}

void FairQueue::forget(User& user) noexcept {
  gone_.erase(gone_.iterator_to(user));
  users_.erase(user.who.id * kPriorities + static_cast<std::size_t>(user.share.priority));
}

// Counted by what the calls of each user cost on average, which is exact where they cost the same.
std::size_t FairQueue::ahead_of(const Call& call) const noexcept {
  const User& own = *call.user_;
  std::size_t ahead = 0;
  std::uint64_t cost = 0;
  for (const Call& before : own.calls) {
    if (&before == &call) break;
    ++ahead;
    cost += before.cost_;
  }
  const Round turn = own.mark() + rounds(cost, own);
  for (std::size_t higher = 0; higher < static_cast<std::size_t>(own.share.priority); ++higher) {
    for (const User& user : classes_[higher].users) ahead += user.calls.size();
  }
  for (const User& user : class_of(own).users) {
    if (user.mark() > turn) break;
    if (&user == &own) continue;
    const Round each = std::max<Round>(rounds(user.cost / user.calls.size(), user), 1);
    const auto turns = static_cast<std::size_t>((turn - user.mark()) / each);
    // Of equals whoever was served longest ago goes first.
    const bool equal = (turn - user.mark()) % each == 0;
    const bool behind = equal && (turns != 0 || (cost == 0 && Order()(own, user)));
    ahead += std::min(user.calls.size(), turns + (behind ? 0 : 1));
  }
  return ahead;
}

std::vector<FairQueue::Seen> FairQueue::users(MonoTime now) const {
  std::vector<Seen> all;
  all.reserve(users_.size());
  for (const auto& [key, user] : users_) {
    Seen& seen = all.emplace_back();
    seen.who = user.who;
    seen.share = user.share;
    seen.waiting = user.calls.size();
    seen.running = user.running;
    seen.tokens = user.tokens;
    if (!user.calls.empty()) seen.longest_wait = now - user.calls.front().since_;
  }
  return all;
}

}  // namespace sluice::upstream
