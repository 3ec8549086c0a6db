// The schema: every key of the conf file, its bounds and its one line of explanation. conf/sluice.toml is written from
// it.
#include <string_view>

#include "config/keys.h"

namespace sluice::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr Duration kDay = hours(24);

void describe_server(Server& s, Keys& k) {
  k.text("name", s.name, TextKind::kNeeded,
         "how this gateway calls itself in its log, in `sluice status` and to its agents");
  k.at_start().number("workers", s.workers, {0, 1024}, "threads that serve requests; 0: one per core");
  k.at_start().text("state_dir", s.state_dir, TextKind::kPath,
                    "folder of the store, the journal, the agents' CA and the admin socket");
  k.duration("grace", s.grace, {}, "how long running calls may take to end after SIGTERM or `sluice drain`");
  k.at_start().flag("core_dumps", s.core_dumps, "allow core dumps; they hold what requests and answers said");
}

void describe_listener(Listener& s, Keys& k) {
  k.text("address", s.address, TextKind::kAddress, "IP:PORT; port 0: the system picks one");
  k.choice("transport", s.transport, {"tls", "plain"}, "tls, or plain for HTTP without TLS");
  k.flag("plain_anywhere", s.plain_anywhere, "allow plain on an address other than loopback, behind another TLS end");
  k.flag("tunnels", s.tunnels, "agents may dial this listener (tls only)");
  k.texts("proxy_protocol", s.proxy_protocol, TextKind::kNetwork,
          "networks whose connections begin with a PROXY protocol header");
  k.texts("trust_forwarded_for", s.trust_forwarded_for, TextKind::kNetwork,
          "networks whose X-Forwarded-For is believed");
  k.texts("cors_origins", s.cors_origins, TextKind::kNeeded,
          "origins that browsers may call from, or \"*\"; none: no CORS");
  k.duration("cors_max_age", s.cors_max_age, {}, "how long a browser may keep the answer to a preflight");
}

void describe_tls(Tls& s, Keys& k) {
  k.text("certificate", s.certificate, TextKind::kPath, "PEM file: the server's certificate, then its chain");
  k.text("key", s.key, TextKind::kPath, "PEM file: its private key");
  k.choice("min_version", s.min_version, {"1.2", "1.3"}, "oldest TLS version that is spoken");
  k.texts("cipher_suites", s.cipher_suites, TextKind::kNeeded, "of TLS 1.3, the preferred one first");
  k.texts("groups", s.groups, TextKind::kNeeded, "of the key exchange, the preferred one first: X25519, P-256, P-384");
  k.flag("tickets", s.tickets, "resume sessions by tickets");
  k.duration("ticket_lifetime", s.ticket_lifetime, {seconds(1), 7 * kDay}, "how long a ticket may be used");
  k.duration("handshake_time", s.handshake_time, {Duration(100), minutes(5)}, "longest TLS handshake");
  k.number("handshakes", s.handshakes, {16, 1'000'000},
           "handshakes under way on each worker; one more ends the one that began first");
  k.number("handshake_queue", s.handshake_queue, {16, 1'000'000},
           "handshakes that wait for their turn on each worker; one more is closed at once");
}

void describe_http(Http& s, Keys& k) {
  k.size("head_limit", s.head_limit, {1 * kKiB, 1 * kMiB}, "largest request head");
  k.size("body_limit", s.body_limit, {1 * kKiB, 2 * kGiB}, "largest request body; beyond it: 413");
  k.size(
      "buffered_limit", s.buffered_limit, {1 * kMiB, 1024 * kGiB},
      "all that is held for clients, upstreams and agents at once: bodies, unfinished events, answers; beyond it: 503");
  k.size("read_ahead", s.read_ahead, {1 * kKiB, 1 * kMiB},
         "bytes read ahead of a running call, to see that its client left");
  k.duration("head_time", s.head_time, {Duration(100), hours(1)},
             "from the first byte of a head to its end; the body of an agent that asks to be paired takes no longer");
  k.duration("idle_time", s.idle_time, {Duration(100), kDay}, "an idle connection is closed after");
  k.duration("body_gap", s.body_gap, {Duration(100), hours(1)}, "longest pause inside a request body");
  k.duration("write_gap", s.write_gap, {Duration(100), hours(1)}, "a client that takes nothing for so long is gone");
  k.number("max_connections", s.max_connections, {1, 10'000'000}, "connections of the whole gateway");
}

void describe_stream(Stream& s, Keys& k) {
  k.duration("first_ping", s.first_ping, {Duration(100), minutes(5)},
             "with no head from the upstream for so long, a stream opens with a ping");
  k.duration("ping_interval", s.ping_interval, {Duration(100), minutes(5)},
             "a silent stream carries a comment ping so often");
  k.size("event_limit", s.event_limit, {64 * kKiB, 256 * kMiB}, "largest single event of a stream");
}

void describe_route(Route& s, Keys& k) {
  k.duration("hold", s.hold, {Duration(0), minutes(10)}, "wait for an upstream of a known model, then 503");
  k.number("queue", s.queue, {0, 1'000'000}, "calls that may wait for the slots of one model; beyond it: 503");
  k.number("queue_per_user", s.queue_per_user, {1, 1'000'000}, "of these, calls of one user; beyond it: 429");
  k.duration("queue_time", s.queue_time, {Duration(0), minutes(10)},
             "longest wait for a slot, then 503; a call that would wait longer is refused at once");
  k.number("queue_passed_over", s.queue_passed_over, {1, 1'000'000},
           "after so many turns of calls of a higher priority, one of a lower that waits goes first");
  k.duration("queue_memory", s.queue_memory, {Duration(0), kDay},
             "a user who had more of the slots than others is remembered for so long after the last call");
  k.number("connect_attempts", s.connect_attempts, {1, 16}, "places tried for one call, at most");
  k.size("answer_limit", s.answer_limit, {64 * kKiB, 2 * kGiB}, "largest answer that is not streamed");
  k.number("models_per_source", s.models_per_source, {1, 10'000},
           "models learned from one agent or upstream; what it lists beyond is ignored");
  k.number("learned_models", s.learned_models, {1, 1'000'000},
           "models known in all that no [[model]] names; what is listed beyond is ignored");
  k.duration("forget_models", s.forget_models, {minutes(1), 3650 * kDay},
             "the models of an agent that is away stay known (503, not 404) for so long");
  k.texts(
      "retry_unsafe", s.retry_unsafe, TextKind::kNeeded,
      "a connect failure, a refused stream, 429, 503 and 529 send a call to another place; so does what stands here, "
      "of 408, 500, 502, 504, lost (the connection) and late_head, though the model may have generated an answer: "
      "then every attempt is charged");
  k.duration("refused_members", s.refused_members, {Duration(100), kDay},
             "a member that the gateway adds (stream_options, an output cap) and a model server does not know is left "
             "out, or renamed, for so long; then it is tried again");
  k.texts("forward_headers", s.forward_headers, TextKind::kNeeded,
          "request headers that go on to upstreams, \"name-*\" for all that begin so; never a key, a cookie or an "
          "organization");
  k.texts("scoped_headers", s.scoped_headers, TextKind::kNeeded,
          "request headers that go on as a keyed hash with tenant and user, so that two callers' never meet; as "
          "prompt_cache_key does");
}

void describe_breaker(Breaker& s, Keys& k) {
  k.flag("enabled", s.enabled, "eject places that fail");
  k.number("failures", s.failures, {1, 1'000'000}, "so many calls in a row that failed eject a place");
  k.number("rate_percent", s.rate_percent, {1, 100}, "or so many of a hundred calls of a window,");
  k.number("rate_calls", s.rate_calls, {1, 1'000'000}, "once the window has so many");
  k.duration("window", s.window, {seconds(1), hours(1)}, "the window");
  k.duration("slow_head", s.slow_head, {Duration(10), kDay},
             "a stream whose head comes later counts as a failure of its place");
  k.duration("eject_time", s.eject_time, {Duration(10), hours(1)},
             "an ejected place is left alone for so long; then one call tries it, once its health check goes well");
  k.duration("max_eject_time", s.max_eject_time, {Duration(10), kDay},
             "each trial that fails doubles the time, up to this");
  k.duration("max_hold_off", s.max_hold_off, {Duration(0), kDay},
             "longest pause that an upstream may ask for with Retry-After");
}

void describe_tunnel(Tunnel& s, Keys& k) {
  k.number("tunnels_per_agent", s.tunnels_per_agent, {1, 256},
           "tunnels of one agent; fewer where there are fewer workers");
  k.duration("ping_interval", s.ping_interval, {Duration(100), minutes(5)}, "both ends ping so often, with jitter");
  k.number("missed_pings", s.missed_pings, {1, 100}, "so many missed pings in a row end a tunnel");
  k.size("connection_window", s.connection_window, {64 * kKiB, 1 * kGiB}, "HTTP/2 window of a whole tunnel");
  k.size("stream_window", s.stream_window, {16 * kKiB, 256 * kMiB},
         "HTTP/2 window of one call: so much waits for a slow client before its model is held back");
  k.number("max_streams", s.max_streams, {1, 1'000'000}, "calls on one tunnel at once");
  k.number("control_frames", s.control_frames, {100, 10'000'000},
           "HTTP/2 frames without content that an agent may send on a tunnel each second; beyond it the tunnel ends");
  k.number("agent_slots", s.agent_slots, {1, 1'000'000},
           "concurrent calls for each model of an agent that reports no slots");
  k.number("max_agent_slots", s.max_agent_slots, {1, 1'000'000},
           "most concurrent calls for each model of an agent, whatever it reports");
  k.duration("head_time", s.head_time, {Duration(100), kDay},
             "of a call to an agent: from the request to the head of its answer");
  k.duration("stream_gap", s.stream_gap, {Duration(100), kDay},
             "of a call to an agent: longest silence inside its answer");
  k.duration("first_token_time", s.first_token_time, {Duration(0), kDay},
             "of a call to an agent: from the request to the first event of a stream; 0s: not bounded apart");
  k.duration("total_time", s.total_time, {Duration(0), kDay},
             "of a call to an agent: from the request to the end of its answer; 0s: not bounded");
  k.duration("reconnect_cap", s.reconnect_cap, {Duration(100), hours(1)},
             "told to agents: their longest wait between attempts in the first minute after a loss");
}

void describe_pairing(Pairing& s, Keys& k) {
  k.duration("key_lifetime", s.key_lifetime, {seconds(1), 7 * kDay}, "a pairing key is good for");
  k.duration("certificate_lifetime", s.certificate_lifetime, {minutes(1), 3650 * kDay},
             "an agent's certificate is good for; it renews at two thirds");
}

void describe_ledger(Ledger& s, Keys& k) {
  k.number("slice", s.slice, {1, 10'000'000}, "output tokens that a call reserves at a time");
  k.number("default_max_output", s.default_max_output, {1, 100'000'000},
           "output cap of a model that has no [[model]] entry, in tokens");
  k.at_start().text("time_zone", s.time_zone, TextKind::kNeeded,
                    "zone in which a budget's day and month begin: UTC or an IANA name");
  k.number(
      "max_claim", s.max_claim, {1, 1'000'000'000},
      "tokens of a prompt, or of an output without a cap, that a model server is believed where the model's context "
      "length is not known");
  k.flag("drain_aborted", s.drain_aborted, "after a client left, read on to the upstream's usage before settling");
  k.duration("drain_time", s.drain_time, {Duration(0), minutes(10)}, "for at most so long");
  k.number("warn_percent", s.warn_percent, {1, 100}, "share of a budget whose crossing is recorded as an event");
}

void describe_journal(Journal& s, Keys& k) {
  k.at_start().flag("enabled", s.enabled, "write the usage journal");
  k.at_start().text("dir", s.dir, TextKind::kPath, "its folder; empty: journal/ in state_dir");
  k.at_start().duration("sync", s.sync, {Duration(1), minutes(1)},
                        "written to disk so often: what a power loss can cost");
  k.at_start().size("segment", s.segment, {1 * kMiB, 16 * kGiB}, "size of one segment");
  k.at_start().choice("on_full", s.on_full, {"refuse", "continue"},
                      "with a full disk: refuse new calls with 503, or go on without the journal");
  k.at_start().duration("sink_interval", s.sink_interval, {Duration(1), minutes(10)},
                        "records move to the store so often");
  k.at_start().number("sink_batch", s.sink_batch, {1, 1'000'000}, "records moved in one transaction");
}

void describe_store(Store& s, Keys& k) {
  k.at_start().choice("kind", s.kind, {"sqlite", "postgres"}, "sqlite; this version has no other and refuses postgres");
  k.at_start().text("path", s.path, TextKind::kPath, "the SQLite file; empty: sluice.db in state_dir");
  k.at_start().secret("url", s.url,
                      "of a PostgreSQL store, which this version does not have: refused where it is given");
  k.duration("backup_time", s.backup_time, {Duration(100), 7 * kDay}, "longest time that `sluice backup` may take");
}

void describe_responses(Responses& s, Keys& k) {
  k.duration("keep", s.keep, {seconds(1), 3650 * kDay},
             "a response that a model server stores is found by its id for so long; the server may keep it for less");
  k.number("most_per_user", s.most_per_user, {1, 1'000'000},
           "stored responses of one user; beyond it the oldest are not found any more");
  k.duration("look_up_time", s.look_up_time, {Duration(10), minutes(1)},
             "longest wait to learn whose a response is, or to note one that runs in the background, then 503");
  k.duration(
      "poll_interval", s.poll_interval, {Duration(10), minutes(60)},
      "a response that runs in the background is asked after so long after it began, to charge what it used; then "
      "after twice as long, and so on");
  k.duration("longest_poll_interval", s.longest_poll_interval, {Duration(10), minutes(60)},
             "longest time between two such questions");
  k.duration("poll_time", s.poll_time, {Duration(10), minutes(10)}, "longest wait for the answer to one");
  k.number("polls_at_once", s.polls_at_once, {1, 1'000}, "such questions at a time");
  k.duration("background_life", s.background_life, {seconds(1), 30 * kDay},
             "a response that has run in the background for so long, or a batch for twice that, is ended, and charged "
             "what was "
             "reserved for it");
  k.number("most_in_background", s.most_in_background, {1, 1'000'000},
           "responses that run in the background; beyond it calls of more get 503");
}

void describe_admin(Admin& s, Keys& k) {
  k.at_start().text("socket", s.socket, TextKind::kPath,
                    "Unix socket of the admin API, for its owner only; empty: admin.sock in state_dir");
  k.text("metrics", s.metrics, TextKind::kAddress,
         "IP:PORT of a plain HTTP metrics endpoint; empty: on the admin socket only");
}

void describe_audit(Audit& s, Keys& k) {
  k.texts("label_headers", s.label_headers, TextKind::kNeeded,
          "request headers whose value is kept as a label of the record");
  k.texts("label_members", s.label_members, TextKind::kNeeded,
          "members of a call's body kept as labels as well, of user and metadata; the model server still gets them");
  k.number("max_labels", s.max_labels, {0, 32},
           "labels of one record at most: of these, of the header x-sluice-labels and of the member _meta");
  k.duration("keep", s.keep, {kDay, 3650 * kDay}, "records older than this are removed");
}

void describe_log(Log& s, Keys& k) {
  k.choice("level", s.level, {"debug", "info", "warn", "error"},
           "least severe line that is written: debug, info, warn or error");
  k.choice("format", s.format, {"text", "json"},
           "text: key=value lines; json: one object a line; both on standard error");
  k.flag("access", s.access, "one line for each call");
  k.number("access_rate", s.access_rate, {1, 1'000'000}, "such lines a second at most; the rest is counted");
}

void describe_policies(Policies& s, Keys& k) {
  k.texts("order", s.order, TextKind::kNeeded, "the policies that every call passes, in this order");
  k.texts(
      "stored_prompts", s.stored_prompts, TextKind::kNeeded,
      "TENANT:PROMPT_ID, \"*\" for every tenant: prompts stored with the upstream that a call may name in prompt.id");
}

void describe_secrets(Secrets& s, Keys& k) {
  k.secret(
      "master_key", s.master_key,
      "what secrets of the store (`sluice secret set`) are sealed with: a line of at least 32 random characters, as "
      "file:PATH or env:NAME; never in the state folder, so that no copy of it holds both");
  k.secret("old_master_key", s.old_master_key,
           "while the master key changes, the one before: `sluice secret rotate` seals everything anew, and then this "
           "goes");
}

void describe_upstream(Upstream& s, Keys& k) {
  k.text("name", s.name, TextKind::kNeeded, "how records and metrics call it");
  k.text(
      "kind", s.kind, TextKind::kNeeded,
      "which API it has: openai-compatible (vLLM, llama.cpp, SGLang, Ollama and most providers), openai, anthropic, or "
      "azure, whose models are its deployments");
  k.text("url", s.url, TextKind::kUrl,
         "http:// or https:// URL; a /v1 at its end means the same as none; empty: that of openai and anthropic");
  k.secret("api_key", s.api_key,
           "its API key, as file:PATH, env:NAME or secret:NAME (see [secrets]); empty: none is sent");
  k.text("credential", s.credential, TextKind::kAny,
         "how api_key is shown: bearer, x-api-key or api-key; empty: as the kind has it");
  k.text("api_version", s.api_version, TextKind::kAny,
         "azure: api-version of each call; anthropic: anthropic-version of the question for its models; empty: "
         "2024-10-21 and 2023-06-01");
  k.texts("dialects", s.dialects, TextKind::kNeeded,
          "whose endpoints it has, of openai and anthropic; none: one of kind openai-compatible both, the others their "
          "own. A call of another goes to another place of its model, and one of /v1/messages is translated for a "
          "server of chats that has it not: openai alone for a server without it");
  k.texts(
      "lacks", s.lacks, TextKind::kNeeded,
      "endpoints of its dialects that it does not have, by their names in audit records: [\"responses\"] for a server "
      "that knows chat completions alone. A call of one goes to another place, or as a chat to this one");
  k.texts(
      "models", s.models, TextKind::kNeeded,
      "the models that it serves, as \"NAME\", or \"NAME=ITS_NAME\" where it calls it otherwise; none: those that it "
      "lists");
  k.text(
      "cost_file", s.cost_file, TextKind::kPath,
      "what it takes for a call, recorded beside what the call is charged: a price file as [prices] names one, by its "
      "own names of models; empty: none");
  k.number(
      "cost_percent", s.cost_percent, {0, 10'000},
      "the same in percent of what cost_file says, or, without that, of what the call is charged: 80 for a discount, 0 "
      "for machines of your own; with neither of the two it is not known");
  k.flag("files", s.files,
         "users may keep files with it and run batches there: /v1/files and /v1/batches; whose each is, the gateway "
         "knows");
  k.number("slots", s.slots, {1, 1'000'000}, "concurrent calls");
  k.flag("usage_in_stream", s.usage_in_stream,
         "ask it for usage in streams; false for old servers that refuse stream_options");
  k.choice(
      "cap_member", s.cap_member, {"auto", "max_tokens", "max_completion_tokens"},
      "as what an output cap that the gateway adds to a chat is sent; auto: max_completion_tokens, or max_tokens to "
      "a server that does not know that");
  k.text("ca_file", s.ca_file, TextKind::kPath,
         "PEM file of the CAs that may have signed its certificate; empty: the system's");
  k.text("proxy", s.proxy, TextKind::kAny,
         "http://[USER:PASSWORD@]HOST:PORT of the HTTP proxy to go through (CONNECT), or file:PATH or env:NAME with "
         "that in it, or none; empty: for https what HTTPS_PROXY and NO_PROXY of the environment say, for http none");
  k.duration("connect_time", s.connect_time, {Duration(10), minutes(5)}, "longest connect with TLS handshake");
  k.duration("resolve_interval", s.resolve_interval, {Duration(100), kDay},
             "its host name is looked up again for a new connection after this; calls do not wait for it");
  k.duration("head_time", s.head_time, {Duration(100), kDay}, "from the request to the head of its answer");
  k.duration("first_token_time", s.first_token_time, {Duration(0), kDay},
             "from the request to the first event of a stream; 0s: not bounded apart");
  k.duration("stream_gap", s.stream_gap, {Duration(100), kDay}, "longest silence inside an answer");
  k.duration("total_time", s.total_time, {Duration(0), kDay},
             "from the request to the end of its answer; 0s: not bounded");
  k.duration(
      "idle_time", s.idle_time, {Duration(100), hours(1)},
      "an idle pooled connection is closed after this, or sooner where the server says Keep-Alive: timeout=N; stay "
      "below the server's own limit");
  k.number("pool", s.pool, {0, 100'000}, "idle connections kept by each worker");
  k.duration("health_interval", s.health_interval, {Duration(100), hours(1)}, "its /v1/models is asked so often");
  k.text(
      "health_path", s.health_path, TextKind::kAny,
      "a path such as /health that has to answer GET with 200 and JSON, or no call goes there; empty: none is asked");
  k.texts("tags", s.tags, TextKind::kNeeded, "what [[routes]] may call it and others by, such as a region: [\"eu\"]");
}

void describe_share(Share& s, Keys& k) {
  k.text("tenant", s.tenant, TextKind::kAny,
         "the tenant whose users it is about; neither tenant nor key: everybody else");
  k.text("user", s.user, TextKind::kAny, "of that tenant, the one user; empty: each of them");
  k.text("key", s.key, TextKind::kAny, "the id of a key (key_7), in place of both; goes before what its user has");
  k.number("weight", s.weight, {1, 1'000},
           "each of them gets so many times what a user of weight 1 gets of the slots that calls wait for, in tokens");
  k.choice("priority", s.priority, {"high", "normal", "low"},
           "high, normal or low: calls of a higher priority get a slot first (see [route] queue_passed_over)");
}

void describe_model(Model& s, Keys& k) {
  k.text("name", s.name, TextKind::kNeeded, "how clients call it");
  k.text("upstream_name", s.upstream_name, TextKind::kAny, "how its upstreams call it; empty: the same");
  k.number("max_output", s.max_output, {1, 100'000'000}, "output cap in tokens, where a call gives none");
  k.duration("head_time", s.head_time, {Duration(0), kDay},
             "from the request to the head of an answer; 0s: as its place has it");
  k.duration("first_token_time", s.first_token_time, {Duration(0), kDay},
             "from the request to the first event of a stream; 0s: as its place has it");
  k.duration("stream_gap", s.stream_gap, {Duration(0), kDay},
             "longest silence inside an answer; 0s: as its place has it");
  k.duration("total_time", s.total_time, {Duration(0), kDay},
             "from the request to the end of an answer; 0s: as its place has it");
  k.price("price_prompt", s.price.prompt, "USD per million prompt tokens");
  k.price_like(s.price.prompt, "price_cached", s.price.cached,
               "USD per million cached prompt tokens; left out: price_prompt");
  k.price_like(s.price.prompt, "price_cache_write", s.price.cache_write,
               "USD per million prompt tokens that were written to a cache; left out: price_prompt");
  k.price_like(s.price.cache_write, "price_cache_write_1h", s.price.cache_write_1h,
               "USD per million of these that are kept for an hour (Anthropic); left out: price_cache_write");
  k.price_like(s.price.prompt, "price_audio_input", s.price.audio_input,
               "USD per million audio tokens of a prompt; left out: price_prompt");
  k.price("price_completion", s.price.completion, "USD per million completion tokens");
  k.price_like(s.price.completion, "price_reasoning", s.price.reasoning,
               "USD per million reasoning tokens; left out: price_completion");
  k.price_like(s.price.completion, "price_audio_output", s.price.audio_output,
               "USD per million audio tokens of an answer; left out: price_completion");
  k.price("price_images", s.price.images, "USD per million images that are made");
  k.price("price_seconds", s.price.seconds, "USD per million seconds of sound that are heard, begun ones included");
  k.price("price_characters", s.price.characters, "USD per million characters that are spoken");
  k.price(
      "price_searches", s.price.searches,
      "USD per million searches that the model server made: of the web, or in documents (a reranker's search units)");
  k.number("price_long_above", s.price.long_context.above, {0, 1'000'000'000},
           "a call whose prompt has more tokens than this is charged by the prices price_long_…, all of its tokens; 0: "
           "there are none");
  k.price_like(s.price.prompt, "price_long_prompt", s.price.long_context.prompt,
               "USD per million prompt tokens of such a call; left out: price_prompt");
  k.price_raised(s.price.prompt, s.price.long_context.prompt, s.price.cached, "price_long_cached",
                 s.price.long_context.cached,
                 "of cached ones; left out, as the next two: as many times the ordinary price as price_long_prompt is");
  k.price_raised(s.price.prompt, s.price.long_context.prompt, s.price.cache_write, "price_long_cache_write",
                 s.price.long_context.cache_write, "of those that were written to a cache");
  k.price_raised(s.price.prompt, s.price.long_context.prompt, s.price.cache_write_1h, "price_long_cache_write_1h",
                 s.price.long_context.cache_write_1h, "of those of them that are kept for an hour");
  k.price_like(s.price.completion, "price_long_completion", s.price.long_context.completion,
               "USD per million completion tokens of such a call; left out: price_completion");
  k.price_raised(s.price.completion, s.price.long_context.completion, s.price.reasoning, "price_long_reasoning",
                 s.price.long_context.reasoning,
                 "of reasoning ones; left out: as many times price_reasoning as price_long_completion is");
  s.price.long_context.audio_input = Keys::raised(s.price.prompt, s.price.long_context.prompt, s.price.audio_input);
  s.price.long_context.audio_output =
      Keys::raised(s.price.completion, s.price.long_context.completion, s.price.audio_output);
  k.number("price_batch_percent", s.price.batch_percent, {0, 100},
           "what a call of a batch costs, in percent of these prices");
  k.optional_number("rpm", s.limits.requests_per_minute, "requests per minute, of all callers together");
  k.optional_number("tpm", s.limits.tokens_per_minute, "tokens per minute");
  k.optional_number("concurrency", s.limits.concurrency, "calls at once");
  k.budgets("budgets", s.budgets,
            "tokens:N/PERIOD or usd:X/PERIOD, PERIOD one of day, month, total; \" soft\" behind it only warns");
  k.budgets("user_budgets", s.user_budgets, "the same, for each user on this model");
}

void describe_routes(RouteRule& s, Keys& k) {
  k.text(
      "model", s.model, TextKind::kNeeded,
      "the model as clients call it, with a * for any text; of several tables that fit, the first counts for a tenant");
  k.texts("tenants", s.tenants, TextKind::kNeeded, "for these tenants alone, by their names; none: for all");
  k.texts(
      "places", s.places, TextKind::kNeeded,
      "where calls go: to the first that has room and is well. Each names an [[upstream]], tag:TAG, agent:NAME or * "
      "for all, or several with weights, as in [\"big=3, small=1\", \"tag:eu\", \"agent:*\"]; none: all alike");
  k.text("alias", s.alias, TextKind::kAny, "another model that the name stands for; empty: none");
  k.texts(
      "fallback", s.fallback, TextKind::kNeeded,
      "models that serve where no place of this one can, in this order; the header x-sluice-model tells the client, "
      "and the model that served is charged");
}

void describe_prices(Prices& s, Keys& k) {
  k.text(
      "file", s.file, TextKind::kPath,
      "a file of prices, such as prices.toml beside this one: [[model]] tables with name and prices, by the names that "
      "providers have; a [[model]] here that has a price keeps its own; empty: none");
}

}  // namespace

void describe(Settings& s, Keys& k) {
  k.table("server", s.server, describe_server, "The gateway itself.");
  k.rows("listener", s.listeners, describe_listener,
         "Where clients and agents connect. Repeat the table for more addresses.");
  k.table("tls", s.tls, describe_tls, "The server certificate. Read again on reload.");
  k.table("http", s.http, describe_http, "Bounds of client connections.");
  k.table("stream", s.stream, describe_stream, "Streamed answers.");
  k.table("route", s.route, describe_route, "From a model's name to an upstream.");
  k.table("breaker", s.breaker, describe_breaker,
          "What ejects a place that fails (connections, lost answers, 5xx, time-outs), so that calls go elsewhere.");
  k.table("tunnel", s.tunnel, describe_tunnel, "Agents' tunnels.");
  k.table("pairing", s.pairing, describe_pairing, "How agents join.");
  k.table("ledger", s.ledger, describe_ledger, "Limits and budgets.");
  k.table("journal", s.journal, describe_journal, "The usage journal: the truth for accounting.");
  k.table("store", s.store, describe_store, "Tenants, keys, agents and audit records.");
  k.table("responses", s.responses, describe_responses,
          "Whose the responses are that model servers store, for GET /v1/responses/ID and previous_response_id.");
  k.table("admin", s.admin, describe_admin, "The admin API.");
  k.table("audit", s.audit, describe_audit, "Audit records.");
  k.table("log", s.log, describe_log, "The log. It never holds a word of a prompt or an answer, nor a key.");
  k.table("policies", s.policies, describe_policies, "What decides on a call.");
  k.table("secrets", s.secrets, describe_secrets, "Providers' keys that the store keeps.");
  k.table("prices", s.prices, describe_prices, "What models cost that have no price below.");
  k.rows("upstream", s.upstreams, describe_upstream,
         "A model server that the gateway calls itself. Repeat the table for more.");
  k.rows("share", s.shares, describe_share,
         "Whose calls get more of a model's slots, or get them sooner, where calls wait for them. Repeat the table.");
  k.rows("model", s.models, describe_model, "What is known of a model beyond its name. Repeat the table for more.");
  k.rows("routes", s.routes, describe_routes,
         "Where calls of a model go, and what its name stands for. Repeat the table for more.");
  k.policies(s.policy);
}

void describe_price_file(std::vector<Model>& models, Keys& k) {
  k.rows("model", models, describe_model, "What one model costs.");
}

}  // namespace sluice::config
