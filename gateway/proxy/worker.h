// What an exchange uses of its worker. Everything here belongs to one worker or is shared by atomics alone.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/held_bytes.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/text.h"
#include "dialect/table.h"
#include "http/incoming.h"
#include "identity/directory.h"
#include "net/loop.h"
#include "observe/log.h"
#include "policy/policy.h"
#include "proxy/doubts.h"
#include "proxy/forward.h"
#include "proxy/kept_calls.h"
#include "proxy/large_bodies.h"
#include "proxy/metrics.h"
#include "proxy/queue_shares.h"
#include "proxy/retry_table.h"
#include "proxy/stored_responses.h"
#include "upstream/fair_queue.h"
#include "upstream/pool.h"
#include "upstream/refused_members.h"
#include "wire/parser.h"

namespace sluice::proxy {

// Bounds of an exchange; each is a conf key.
struct ExchangeSettings {
  std::size_t body_bytes = 32u << 20;    // of a request
  std::size_t answer_bytes = 64u << 20;  // of an answer that is not streamed; a larger one is the upstream's fault
  std::size_t whole_answer_bytes = 256u << 10;  // up to here an answer is gathered and leaves with its length
  std::size_t event_bytes = 32u << 20;          // of one SSE event
  std::chrono::milliseconds first_ping{15'000};
  std::chrono::milliseconds ping_interval{15'000};
  std::chrono::milliseconds hold{5'000};         // for a place that serves the model
  std::chrono::milliseconds queue_time{30'000};  // for a slot on such a place
  std::chrono::milliseconds drain_aborted{0};    // read on for so long after a client left; 0: not at all
  std::uint64_t max_claim = 2'000'000;           // tokens of one call that are believed where nothing else bounds them
  std::chrono::milliseconds refused_members{3'600'000};  // what places refused of what we add is kept so long
  std::chrono::milliseconds look_up{5'000};              // of whose a stored response is
  std::size_t attempts = 3;
  upstream::BreakerSettings breaker;
  RetryTable retries;
  upstream::QueueBounds queue;             // of calls that wait for a slot
  std::uint64_t queue_output = 2'048;      // tokens for each choice, at most, that a call's turn is estimated to cost
  QueueShares shares;                      // of who waits
  std::vector<std::string> label_headers;  // request headers kept as labels, lower case
  std::vector<std::string> label_members;  // members of bodies kept as labels, of "user" and "metadata"
  std::size_t most_labels = 16;
  std::vector<std::pair<std::string, std::string>> open_aliases;  // names with a *, and the models that they stand for
  std::vector<std::string> stored_prompts;  // "TENANT:PROMPT_ID" that calls may name, "*" for every tenant
};

// Of a model that has no times of its own.
inline constexpr upstream::CallTimes kPlacesTimes{.head = {}, .gap = {}, .first_token = {}, .total = {}};

// One model as the conf describes it, or with defaults where only an agent knows it.
struct ModelSettings {
  std::uint32_t index = policy::Call::kNoModel;
  std::uint64_t max_output = 32'768;
  std::string upstream_name;                   // empty: the same
  upstream::CallTimes times = kPlacesTimes;    // 0: the place's
  std::optional<observe::ModelMeters> meters;  // of configured models
};

// What a reload, or a list of models, replaces as a whole. A running exchange keeps what it began with.
struct Conf {
  ExchangeSettings settings;
  ForwardRules forward;
  // Of every known model, also those that no conf names. Shared by all workers, and copied for none.
  std::shared_ptr<const NameMap<ModelSettings>> models = std::make_shared<const NameMap<ModelSettings>>();
  std::shared_ptr<const policy::Chain> chain;
};

// A call under way, so that a revocation or a drain can reach it.
struct RunningCall {
  const identity::Key* key = nullptr;
  net::Signal* wake = nullptr;
  bool drained = false;
};

// Thread:   owning worker only, but for what says otherwise.
// Lifetime: outlives every exchange on it.
struct Worker {
  Worker(net::Loop& loop_, const dialect::Table& dialects_, const identity::Directory& directory_, const Clock& clock_,
         HeldBytes& held_, WorkerMetrics& metrics_, observe::Log& log_, std::uint64_t boot_id_)
      : loop(loop_),
        dialects(dialects_),
        directory(directory_),
        clock(clock_),
        held(held_),
        metrics(metrics_),
        log(log_),
        boot_id(boot_id_),
        pool(loop_) {}

  // Of a call, or of a record of its own.
  [[nodiscard]] std::uint64_t next_number() noexcept { return ++next_call << 8 | loop.index(); }

  net::Loop& loop;
  const dialect::Table& dialects;
  const identity::Directory& directory;
  const Clock& clock;
  HeldBytes& held;
  WorkerMetrics& metrics;
  observe::Log& log;
  std::uint64_t boot_id;
  std::uint64_t next_call = 0;  // call numbers are (counter << 8 | worker): unique within the boot
  identity::ScopeKey scope;     // set before the worker runs
  wire::Parser parser;
  upstream::Pool pool;
  upstream::RefusedMembers refused_members;
  std::vector<Worker*> siblings;  // all workers, this one too: what one has learnt, the others need not
  std::shared_ptr<const Conf> conf;
  std::list<RunningCall*> running;
  LargeBodies* large_bodies = nullptr;   // shared by all workers; null: every body is read here. Set by server/
  StoredResponses* responses = nullptr;  // shared by all workers; null: nobody's are known. Set by server/
  KeptCalls* kept_calls = nullptr;       // shared by all workers; null: nothing runs in the background. Set by server/
  Doubts* doubts = nullptr;              // shared by all workers; null: nobody hears of them. Set by server/
  // Answers requests to the gateway's own paths (pairing); null where the listener has none. Set by server/.
  std::function<Task<Status>(http::Incoming&, const policy::Peer&)> own_paths;
};

}  // namespace sluice::proxy
