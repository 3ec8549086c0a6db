#include "proxy/kept_calls.h"

#include <algorithm>
#include <utility>

#include "base/background.h"
#include "ledger/price.h"

namespace sluice::proxy {
namespace {

using store::KeptCall;

constexpr std::chrono::milliseconds kTurn{100};        // between two looks at what is due
constexpr std::chrono::milliseconds kDropWait{1'000};  // the record of a charge is on the disk before the row goes
constexpr std::chrono::seconds kIdle{60};

std::chrono::microseconds since(WallTime began, WallTime now) noexcept {
  return std::max(std::chrono::microseconds(0), std::chrono::duration_cast<std::chrono::microseconds>(now - began));
}

// Of a charge: what the call was, and how it ended.
journal::AuditRecord record_of(const KeptCall& call, const KeptState& state, const ledger::Ticket& ticket,
                               WallTime now) noexcept {
  journal::AuditRecord record;
  record.boot_id = call.boot_id;
  record.number = call.settle_number;
  record.began = call.began;
  record.day_us = call.day_us;
  record.settled_in = ticket.settled_in;
  record.tenant_id = call.tenant_id;
  record.user_id = call.user_id;
  record.key_id = call.key_id;
  record.end_reason = state.reason;
  record.status = state.status;
  record.stream = call.stream;
  record.usage = state.usage;
  record.cost_micros = ledger::cost(call.price, state.usage, call.price_class());
  record.price_tier = ledger::tier_of(call.price, state.usage.prompt_tokens, call.price_class());
  record.duration = since(call.began, now);
  record.request_id = call.request_id;
  record.channel = "background";
  record.endpoint = call.endpoint;
  record.model = call.model;
  record.model_served = state.model_served;
  record.upstream = call.place;
  record.client_ip = call.client_ip;
  record.labels = call.labels;
  record.client_request_id = call.client_request_id;
  return record;
}

}  // namespace

KeptCalls::KeptCalls(std::unique_ptr<store::Store> store, ledger::Ledger& ledger, const Clock& clock, observe::Log& log,
                     Options options)
    : store_(std::move(store)), ledger_(ledger), clock_(clock), log_(log), options_(options), thread_([this] {
        work();
      }) {}

// What runs on is held by the store: the next process holds it again.
KeptCalls::~KeptCalls() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
  for (const auto& [id, entry] : entries_) {
    ledger_.release_limits(entry->ticket, {});
    ledger_.settle(entry->ticket, {});
  }
}

void KeptCalls::set_options(Options options) {
  const std::lock_guard lock(mutex_);
  options_ = options;
}

void KeptCalls::record_to(journal::AuditSink& sink) {
  const std::lock_guard lock(mutex_);
  sink_ = &sink;
}

// --- what is held

void KeptCalls::hold_again(KeptCall call, const identity::Key* key, const ledger::Scopes& scopes) {
  const std::lock_guard lock(mutex_);
  if (find(call) != entries_.end()) return;
  auto entry = std::make_unique<Entry>();
  if (!call.charged) {
    ledger_.hold_again(entry->ticket, scopes,
                       {.day_us = call.day_us,
                        .price = call.price,
                        .price_class = call.price_class(),
                        .prompt = call.prompt_estimate,
                        .output = call.reserved_output});
  }
  entry->key = key;
  entry->call = std::move(call);
  add(std::move(entry));
}

void KeptCalls::keep(KeptCall call, const identity::Key& key, ledger::Ticket& ticket, Then then) {
  auto entry = std::make_unique<Entry>();
  ledger::Ledger::hand_over(ticket, entry->ticket);
  entry->key = &key;
  entry->call = std::move(call);
  entry->then = then;
  const std::lock_guard lock(mutex_);
  add(std::move(entry));
}

void KeptCalls::add(std::unique_ptr<Entry> entry) {
  entry->interval = options_.interval;
  entry->next = clock_.mono();
  if (!entry->call.charged && entry->then == Then::kRunsOn) entry->next += entry->interval;
  const bool first = entries_.empty();
  std::string id = entry->call.id;
  entries_.emplace(std::move(id), std::move(entry));
  if (first) changed_.notify_one();
}

KeptCalls::Entries::iterator KeptCalls::find(const KeptCall& call) {
  const auto [first, last] = entries_.equal_range(call.id);
  const auto at = std::find_if(first, last, [&](const auto& entry) {
    return entry.second->call.number == call.number && entry.second->call.boot_id == call.boot_id;
  });
  return at == last ? entries_.end() : at;
}

bool KeptCalls::has_room() const {
  const std::lock_guard lock(mutex_);
  return entries_.size() < options_.most;
}

std::chrono::milliseconds KeptCalls::life() const {
  const std::lock_guard lock(mutex_);
  return options_.life;
}

std::size_t KeptCalls::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

bool KeptCalls::holds(std::uint64_t user_id, std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = entries_.equal_range(id);
  return std::any_of(first, last, [&](const auto& entry) { return entry.second->call.user_id == user_id; });
}

// --- how they end

KeptCalls::Charged KeptCalls::ended(const KeptCall& call, const KeptState& state) {
  const std::lock_guard lock(mutex_);
  const auto at = find(call);
  if (at == entries_.end()) return Charged::kNot;
  settle(at, state);
  return Charged::kNow;
}

std::optional<Usage> KeptCalls::told(const Question& question, const KeptState& state) {
  using What = KeptState::What;
  const std::lock_guard lock(mutex_);
  --asking_;
  const auto at = find(question.call);
  if (at == entries_.end()) return std::nullopt;  // its own stream has told its end meanwhile
  Entry& entry = *at->second;
  entry.asked = false;
  if (state.what == What::kOver) {
    KeptState over = state;
    if (question.how == Question::How::kEnd && entry.then == Then::kRunsOn) over.reason = EndReason::kRevoked;
    return settle(at, over);
  }
  if (state.what == What::kGone) return settle_as_reserved(at, EndReason::kUpstreamFailed);
  if (question.how == Question::How::kGiveUp) return settle_as_reserved(at, EndReason::kTimeout);
  entry.next = clock_.mono() + entry.interval;
  entry.interval = std::min(entry.interval * 2, std::max(options_.interval, options_.longest_interval));
  return std::nullopt;
}

// Charged in one turn: what holds budgets, and the record that says so.
Usage KeptCalls::settle(Entries::iterator at, const KeptState& state) {
  Entry& entry = *at->second;
  // What a place runs when it has room is none of what a minute may bring.
  ledger_.release_limits(entry.ticket, entry.call.kind == KeptCall::Kind::kBatch ? Usage{} : state.usage);
  ledger_.settle(entry.ticket, state.usage);
  if (!entry.call.charged && sink_ != nullptr) {
    journal::AuditRecord record = record_of(entry.call, state, entry.ticket, clock_.wall());
    if (sink_->record_if_room(record) == journal::AuditSink::Recorded::kNoRoom)
      unrecorded_.push_back(std::move(record));
  }
  const Usage charged = entry.call.charged ? Usage() : state.usage;
  charged_.push_back(std::move(entry.call));
  if (charged_.size() == 1) next_drop_ = clock_.mono() + kDropWait;
  entries_.erase(at);
  changed_.notify_one();
  return charged;
}

Usage KeptCalls::settle_as_reserved(Entries::iterator at, EndReason reason) {
  const Entry& entry = *at->second;
  const bool late = reason == EndReason::kTimeout;
  log_.warn(
      "what runs in the background is charged as it was reserved",
      {{"request_id", entry.call.request_id},
       {"upstream", entry.call.place},
       {"model", entry.call.model},
       {"tokens", entry.call.prompt_estimate + entry.call.reserved_output},
       {"why", late ? "its place was not heard in time" : "its place does not know it, or tells too much of it"}});
  return settle(at, at_reservation(entry, reason));
}

// Nobody can tell what it used.
KeptState KeptCalls::at_reservation(const Entry& entry, EndReason reason) {
  KeptState state{.what = KeptState::What::kGone, .reason = reason, .status = 0, .usage = {}, .model_served = {}};
  state.usage.source = UsageSource::kEstimated;
  state.usage.prompt_tokens = entry.call.prompt_estimate;
  state.usage.completion_tokens = entry.call.reserved_output;
  return state;
}

// --- asking

void KeptCalls::set_asker(Asker asker) {
  const std::lock_guard lock(mutex_);
  asker_ = std::move(asker);
  changed_.notify_one();
}

void KeptCalls::look_soon(std::uint64_t user_id, std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = entries_.equal_range(id);
  for (auto at = first; at != last; ++at) {
    if (at->second->call.user_id != user_id) continue;
    at->second->next = clock_.mono();
    at->second->interval = options_.interval;
    changed_.notify_one();
  }
}

// Those of callers who were revoked, at once.
void KeptCalls::look_at_revoked() {
  const std::lock_guard lock(mutex_);
  const WallTime now = clock_.wall();
  for (const auto& [id, entry] : entries_) {
    if (entry->key == nullptr || entry->key->live(now)) continue;
    entry->next = clock_.mono();
    entry->interval = options_.interval;
  }
  changed_.notify_one();
}

// Those first whose time came first.
void KeptCalls::ask_due() {
  if (!asker_ || asking_ >= options_.at_once) return;
  const MonoTime now = clock_.mono();
  std::vector<Entry*> due;
  for (const auto& [id, entry] : entries_) {
    if (!entry->asked && entry->next <= now) due.push_back(entry.get());
  }
  const std::size_t count = std::min(due.size(), options_.at_once - asking_);
  std::ranges::partial_sort(due, due.begin() + static_cast<std::ptrdiff_t>(count), {}, &Entry::next);
  due.resize(count);
  const WallTime wall = clock_.wall();
  for (Entry* const entry : due) {
    using How = Question::How;
    const bool runs_on = !entry->call.charged && entry->then == Then::kRunsOn;
    const bool live = runs_on && entry->key != nullptr && !entry->key->gone(wall);
    const How how = entry->call.until <= wall ? How::kGiveUp : live ? How::kLook : How::kEnd;
    entry->asked = true;
    ++asking_;
    asker_({.call = entry->call, .how = how, .answer_time = options_.answer_time});
  }
}

// --- the store

void KeptCalls::store(Storing& storing) {
  {
    const std::lock_guard lock(mutex_);
    storing_.push_back(&storing);
  }
  changed_.notify_one();
}

bool KeptCalls::withdraw(Storing& storing) noexcept {
  const std::lock_guard lock(mutex_);
  return std::erase(storing_, &storing) != 0;
}

absl::Status KeptCalls::keep_all(const std::vector<Storing*>& waiting) {
  if (absl::Status connected = store_->connect(); !connected.ok()) return connected;
  std::vector<KeptCall> calls;
  std::vector<store::ResponseChange> responses;
  for (const Storing* const storing : waiting) {
    calls.push_back(storing->call);
    if (storing->response)
      responses.push_back({.kind = store::ResponseChange::Kind::kAdd, .response = *storing->response, .items = {}});
  }
  return store_->keep_calls(calls, responses);
}

// All that wait at once, in one transaction: its sync costs more than its rows.
void KeptCalls::store_waiting(std::unique_lock<std::mutex>& lock) {
  const std::vector<Storing*> waiting = std::exchange(storing_, {});
  lock.unlock();
  absl::Status stored;
  try {
    stored = keep_all(waiting);
  } catch (const std::exception& fault) {  // whoever waits is told
    stored = absl::ResourceExhaustedError(fault.what());
  }
  if (!stored.ok())
    log_.error("the store takes no background calls: they are ended where they run",
               {{"calls", waiting.size()}, {"why", std::string(stored.message())}});
  for (Storing* const storing : waiting) {
    storing->stored = stored.ok();
    storing->wake.loop().post([storing] {
      storing->over = true;
      storing->wake.notify();
    });
  }
  lock.lock();
}

void KeptCalls::record_waiting() {
  while (!unrecorded_.empty()) {
    if (sink_->record_if_room(unrecorded_.back()) == journal::AuditSink::Recorded::kNoRoom) return;
    unrecorded_.pop_back();
  }
}

// What stays in the store although it was charged is dropped at the next start: its record is there.
void KeptCalls::drop_charged(std::unique_lock<std::mutex>& lock) {
  next_drop_ = clock_.mono() + kDropWait;
  if (charged_.empty() || !unrecorded_.empty()) return;
  const std::vector<KeptCall> charged = std::exchange(charged_, {});
  lock.unlock();
  absl::Status dropped = store_->connect();
  if (dropped.ok()) dropped = store_->drop_kept_calls(charged);
  lock.lock();
  if (!dropped.ok()) charged_.insert(charged_.end(), charged.begin(), charged.end());
}

// --- the thread

// An exception that left the thread would end the process.
void KeptCalls::work() noexcept {
  name_thread("kept-calls");
  for (;;) {
    try {
      return work_off();
    } catch (const std::exception& thrown) {
      log_.error("fault while background calls were kept", {{"what", thrown.what()}});
    }
  }
}

MonoTime KeptCalls::next_turn() const {
  const bool busy = !entries_.empty() || !charged_.empty() || !unrecorded_.empty();
  return clock_.mono() + (busy ? Mono::duration(kTurn) : Mono::duration(kIdle));
}

void KeptCalls::work_off() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const MonoTime until = next_turn();
    if (!ends_ && storing_.empty()) changed_.wait_for(lock, until - clock_.mono());
    if (!storing_.empty()) store_waiting(lock);
    record_waiting();
    ask_due();
    if (ends_ || clock_.mono() >= next_drop_) drop_charged(lock);
    if (ends_ && storing_.empty()) return;
  }
}

}  // namespace sluice::proxy
