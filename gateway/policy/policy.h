// What a policy is: it sees where a request comes from and what a call is, never what it says, and decides whether it
// may go on.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/usage.h"
#include "journal/entry.h"
#include "ledger/refusal.h"
#include "ledger/ticket.h"

namespace sluice::policy {

// Where a request comes from, before anybody knows who sends it.
// Lifetime: of the request. In memory alone: records and logs hold Call::client_ip.
struct Peer {
  std::string_view address;   // the client's, whole: "203.0.113.7", "2001:db8::7"
  std::string_view listener;  // as the conf has it: "0.0.0.0:8443"
};

// What was wrong with a credential, or with the lack of one.
enum class CredentialFailure : std::uint8_t {
  kMissing,    // the request carries no key
  kMalformed,  // two keys that differ, or a scheme other than Bearer
  kWrong,      // a key that is unknown, mistyped, expired or revoked
  kPairing,    // an agent's pairing key that is unknown, used or expired
};

// Who calls, by opaque ids and by dense indexes for the ledger's counters. Names are for people who read audit records.
struct Caller {
  std::uint64_t tenant_id = 0, user_id = 0, key_id = 0;
  std::uint32_t tenant_index = 0, user_index = 0, key_index = 0;
  std::string_view tenant, user;                // valid for the process's life
  std::span<const std::string> allowed_models;  // empty: every model
};

// One call as policies see it. Prompt and answer bytes cannot be reached from here.
// Lifetime: lives in the exchange's frame, from the reading of the call to the end of finish().
struct Call {
  // Who and what.
  std::string_view request_id;         // "req_…"
  std::string_view client_request_id;  // the client's own, cleaned and bounded; empty: none. Never trusted as ours
  std::uint64_t number = 0;            // unique with the boot id: the idempotency id of journal and store
  Caller caller;
  std::string_view endpoint;  // "chat.completions"
  std::string_view channel;   // "api"
  // A configured or served name, or "sha256:…" of one that is neither; empty: none is called, as with a list of files.
  std::string_view model;
  std::uint32_t model_index = 0;  // dense, for the ledger; kNoModel: not known
  std::string_view client_ip;     // truncated to /24 or /48
  std::span<const std::pair<std::string, std::string>> labels;
  bool stream = false;
  bool background = false;  // its place is to go on with it by itself: nothing can extend or cut it
  WallTime began;
  MonoTime began_mono;

  // What it asks for.
  std::uint64_t prompt_estimate = 0;  // tokens
  // Tokens for the whole call: min(the client's cap, else the model's max_output) × choices.
  std::uint64_t output_cap = 0;
  bool output_cap_given = false;  // the client named its cap
  std::uint64_t choices = 1;      // n × prompts
  PriceClass price_class = PriceClass::kStandard;
  // Set by the budget policy: the cap to splice in, 0: leave the body alone.
  std::uint64_t clamp_output_to = 0;  // tokens per choice

  // The ledger's holds for this call; settled and freed exactly once, by the policies that took them.
  ledger::Ticket ticket;
  // Where the journal holds it: the journal policy's.
  journal::Entry entry;

  static constexpr std::uint32_t kNoModel = 0xffffffff;
};

// What is known at the end.
struct Outcome {
  EndReason reason = EndReason::kFault;
  std::uint16_t status = 0;  // as the client saw it; 0: no head was sent
  Usage usage;
  std::string_view model_served;       // empty: none
  std::string_view upstream;           // name of the upstream or agent; empty: none
  std::chrono::microseconds ttft{-1};  // head of the request to the first byte of the answer's body; -1: none came
  std::chrono::microseconds duration{0};
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint8_t attempts = 0;                                  // how often a place was asked; 255: so often or more
  ledger::RefusedBy refused_by;                               // the limit or budget that said no
  std::int64_t upstream_cost_micros = journal::kCostUnknown;  // that the place takes for it
};

enum class Verdict : std::uint8_t { kGoOn, kRefuse };

// REQUIRES of text: says what to do; holds names and numbers of limits, no bytes of the request.
struct Decision {
  Verdict verdict = Verdict::kGoOn;
  Error error;                               // with kRefuse
  std::string message;                       // with kRefuse; empty: error.what
  std::chrono::milliseconds retry_after{0};  // 0: not to be retried, x-should-retry: false
  ledger::Refusal refusal;                   // the limit or budget that said no, for headers and words; or none
  [[nodiscard]] static Decision go_on() noexcept { return {}; }
};

enum class Extension : std::uint8_t { kGranted, kCut };

// One policy. Every call passes the chain in the order of the conf; finish() runs for every policy whose admit() ran,
// in reverse order, exactly once.
// Thread:   every function on any worker at once: state is immutable or atomic.
// Errors:   nothing throws, blocks or waits.
class Policy {
 public:
  virtual ~Policy() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // Whether arrive() is to be asked; once, when the chain is made.
  [[nodiscard]] virtual bool asks_at_arrival() const noexcept { return false; }
  // A request has come, or an agent that asks to be paired; who it is has not been looked at.
  [[nodiscard]] virtual Decision arrive(const Peer& peer) noexcept {
    (void)peer;
    return Decision::go_on();
  }
  [[nodiscard]] virtual Decision admit(Call& call) noexcept = 0;
  // `completion_tokens` have been counted so far in a running stream.
  [[nodiscard]] virtual Extension progress(Call& call, std::uint64_t completion_tokens) noexcept {
    (void)call, (void)completion_tokens;
    return Extension::kGranted;
  }
  virtual void finish(Call& call, const Outcome& outcome) noexcept { (void)call, (void)outcome; }
  // One record per call of a known caller, also of one that was refused or at fault: after finish(), in the chain's
  // order, once.
  virtual void record(const Call& call, const Outcome& outcome) noexcept { (void)call, (void)outcome; }
  // A request that had arrived was refused for its credential.
  virtual void authentication_failed(const Peer& peer, CredentialFailure failure) noexcept {
    (void)peer, (void)failure;
  }
};

// What policies keep beyond the conf that made them: a reload makes new policies, and each finds its state again.
// Thread:   control thread. What it holds is used by any worker: immutable or atomic, like a policy.
// Lifetime: outlives every chain.
class KeptState final {
 public:
  // The state of the policy `name`, made at the first call. REQUIRES: one type for each name.
  template <class T>
  [[nodiscard]] std::shared_ptr<T> of(const std::string& name) {
    std::shared_ptr<void>& kept = kept_[name];
    if (kept == nullptr) kept = std::make_shared<T>();
    return std::static_pointer_cast<T>(kept);
  }

 private:
  std::map<std::string, std::shared_ptr<void>> kept_;  // shared: with chains that running calls keep
};

// The policies of one conf, in order.
// Lifetime: immutable; a running call keeps the chain that admitted it.
class Chain final {
 public:
  explicit Chain(std::vector<std::unique_ptr<Policy>> policies);
  ~Chain();
  // Runs arrive() until one refuses.
  [[nodiscard]] Decision arrive(const Peer& peer) const noexcept;
  // Runs admit() until one refuses. `admitted` tells finish() how far it came.
  [[nodiscard]] Decision admit(Call& call, std::size_t& admitted) const noexcept;
  [[nodiscard]] Extension progress(Call& call, std::uint64_t completion_tokens) const noexcept;
  void finish(Call& call, const Outcome& outcome, std::size_t admitted) const noexcept;
  void record(const Call& call, const Outcome& outcome) const noexcept;
  void authentication_failed(const Peer& peer, CredentialFailure failure) const noexcept;

 private:
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Policy*> at_arrival_;  // those of them that ask there: normally none, and it costs nothing
};

}  // namespace sluice::policy
