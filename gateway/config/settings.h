// What the conf file can say, as plain typed values with their defaults: one struct per TOML table, one field per key,
// field names as in the file. schema.cc gives each key its explanation and bounds; conf/sluice.toml shows them all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/cap_member.h"
#include "base/limits.h"
#include "base/queue_share.h"
#include "config/policy_table.h"

namespace sluice::config {

using Duration = std::chrono::milliseconds;
using SecretText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

// "file:PATH" or "env:NAME", and what stood there when the conf was loaded; an api_key also "secret:NAME", whose value
// the store has. Never written inline.
inline constexpr std::string_view kInStore = "secret:";
struct Secret {
  std::string reference;  // empty: none given
  SecretText value;       // line ends at the end are cut
  [[nodiscard]] bool given() const noexcept { return !reference.empty(); }
  // The name of the secret in the store; empty: it is not kept there.
  [[nodiscard]] std::string_view in_store() const noexcept {
    const std::string_view text = reference;
    return text.starts_with(kInStore) ? text.substr(kInStore.size()) : std::string_view();
  }
  bool operator==(const Secret&) const = default;
};

// [server]
struct Server {
  std::string name = "sluice";  // in the log, in `sluice status` and in the hello to agents
  std::uint32_t workers = 0;    // 0: one per core
  std::string state_dir = "/var/lib/sluice";
  Duration grace{30'000};  // how long running calls may take to end on SIGTERM
  bool core_dumps = false;
  bool operator==(const Server&) const = default;
};

enum class Transport : std::uint8_t { kTls, kPlain };

// [[listener]]
struct Listener {
  std::string address = "127.0.0.1:8443";  // HOST:PORT, port 0: the system picks one
  Transport transport = Transport::kTls;   // plain: loopback only, unless plain_anywhere
  bool plain_anywhere = false;
  bool tunnels = true;                           // agents may dial here (tls only)
  std::vector<std::string> proxy_protocol;       // networks whose connections begin with a PROXY header
  std::vector<std::string> trust_forwarded_for;  // networks whose X-Forwarded-For is believed
  std::vector<std::string> cors_origins;         // "*" or exact origins; empty: no CORS
  Duration cors_max_age{600'000};
  bool operator==(const Listener&) const = default;
};

enum class TlsVersion : std::uint8_t { k12, k13 };

// [tls]
struct Tls {
  std::string certificate = "/etc/sluice/tls/certificate.pem";  // chain, leaf first
  std::string key = "/etc/sluice/tls/key.pem";
  TlsVersion min_version = TlsVersion::k13;
  // Of TLS 1.3, all that there are, the preferred one first. 128 bits are what the key exchange (X25519, P-256) gives,
  // and AES-128 with SHA-256 costs a handshake 15 µs less than AES-256 with SHA-384.
  std::vector<std::string> cipher_suites = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                            "TLS_CHACHA20_POLY1305_SHA256"};
  // All that may be named: a client chooses among them, and the finite fields cost a worker up to 200 ms each.
  std::vector<std::string> groups = {"X25519", "P-256", "P-384"};
  bool tickets = true;
  Duration ticket_lifetime{2 * 3600 * 1000};
  Duration handshake_time{10'000};
  std::uint32_t handshakes = 1024;      // under way on a worker; one more ends the one that began first
  std::uint32_t handshake_queue = 512;  // of them, that wait to be computed; one more is closed
  bool operator==(const Tls&) const = default;
};

// [http]
struct Http {
  std::size_t head_limit = 32 * 1024;
  std::size_t body_limit = 32 * 1024 * 1024;
  std::size_t buffered_limit = 512 * 1024 * 1024;  // of all that is held for peers at once; beyond it: 503
  std::size_t read_ahead = 64 * 1024;
  Duration head_time{10'000};
  Duration idle_time{75'000};
  Duration body_gap{30'000};
  Duration write_gap{60'000};
  std::uint32_t max_connections = 100'000;  // of the whole gateway
  bool operator==(const Http&) const = default;
};

// [stream]
struct Stream {
  Duration first_ping{15'000};
  Duration ping_interval{15'000};
  std::size_t event_limit = 32 * 1024 * 1024;
  bool operator==(const Stream&) const = default;
};

// [route]
struct Route {
  Duration hold{5'000};                // wait for an upstream of a known model
  std::uint32_t queue = 1024;          // calls that may wait for one model's slots
  std::uint32_t queue_per_user = 256;  // of them, of one user
  Duration queue_time{30'000};
  std::uint32_t queue_passed_over = 16;            // turns of a higher priority, then one of a lower goes first
  Duration queue_memory{60'000};                   // of what users owe that have no call any more
  std::uint32_t connect_attempts = 3;              // other upstreams tried while nothing was sent
  std::size_t answer_limit = 64 * 1024 * 1024;     // of an answer that is not streamed
  std::uint32_t models_per_source = 10'000;        // learned from one agent or upstream; the rest is ignored
  std::uint32_t learned_models = 20'000;           // known in all beyond those of the conf; the rest is ignored
  Duration forget_models{7LL * 24 * 3600 * 1000};  // of agents that have been away for so long
  std::vector<std::string> retry_unsafe;           // of kRetryUnsafe: sent again though a model may have generated
  Duration refused_members{3600 * 1000};           // what a place refused of the members that we add is kept so long
  // Request headers that go on to upstreams: as they are, "*" at the end of a name stands for any more of it, or scoped
  // to the user that sent them.
  std::vector<std::string> forward_headers{"openai-beta", "anthropic-*"};
  std::vector<std::string> scoped_headers{"idempotency-key",         "session-id",   "session_id",
                                          "conversation_id",         "x-session-id", "x-session-affinity",
                                          "x-claude-code-session-id"};
  bool operator==(const Route&) const = default;
};

// [breaker]
struct Breaker {
  bool enabled = true;
  std::uint32_t failures = 5;       // in a row
  std::uint32_t rate_percent = 50;  // or of a window's calls,
  std::uint32_t rate_calls = 20;    // of which there are so many
  Duration window{30'000};
  Duration slow_head{60'000};  // of a stream
  Duration eject_time{5'000};  // doubles, up to
  Duration max_eject_time{300'000};
  Duration max_hold_off{600'000};  // of an upstream's Retry-After
  bool operator==(const Breaker&) const = default;
};

// [[share]]: whose calls get more of the slots that calls wait for, or get them sooner.
struct Share {
  std::string tenant;  // with `user` one of its users, else each of them; neither it nor `key`: everybody else
  std::string user;
  std::string key;  // "key_7"; in place of both
  std::uint32_t weight = 1;
  Priority priority = Priority::kNormal;
  bool operator==(const Share&) const = default;
};

// [tunnel]
struct Tunnel {
  std::uint32_t tunnels_per_agent = 8;
  Duration ping_interval{5'000};
  std::uint32_t missed_pings = 3;
  std::size_t connection_window = 16 * 1024 * 1024;
  std::size_t stream_window = 256 * 1024;
  std::uint32_t max_streams = 10'000;     // of one tunnel
  std::uint32_t control_frames = 10'000;  // without content, from an agent in a second
  std::uint32_t agent_slots = 64;         // concurrent calls of an agent that does not say
  std::uint32_t max_agent_slots = 1024;   // of a model on an agent, whatever it claims
  Duration head_time{600'000};            // from the request to the answer's head
  Duration stream_gap{600'000};           // silence inside an answer
  Duration first_token_time{0};           // from the request to a stream's first event; 0: not bounded apart
  Duration total_time{0};                 // from the request to the end of its answer; 0: not bounded
  Duration reconnect_cap{5'000};
  bool operator==(const Tunnel&) const = default;
};

// [pairing]
struct Pairing {
  Duration key_lifetime{15 * 60 * 1000};
  Duration certificate_lifetime{30LL * 24 * 3600 * 1000};
  bool operator==(const Pairing&) const = default;
};

// [ledger]
struct Ledger {
  std::uint64_t slice = 2048;                 // output tokens reserved at a time
  std::uint64_t default_max_output = 32'768;  // of a model with no [[model]] entry
  std::string time_zone = "UTC";              // where a budget's day and month begin
  bool drain_aborted = false;                 // after a client left: read on to the usage chunk
  Duration drain_time{5'000};                 // at most so long
  std::uint32_t warn_percent = 80;            // of a budget: crossing it is an event
  std::uint64_t max_claim = 2'000'000;  // tokens that one call is believed to have used, where nothing else bounds it
  bool operator==(const Ledger&) const = default;
};

enum class OnFull : std::uint8_t { kRefuse, kContinue };

// [journal]
struct Journal {
  bool enabled = true;
  std::string dir;  // empty: state_dir/journal
  Duration sync{10};
  std::size_t segment = 64 * 1024 * 1024;
  OnFull on_full = OnFull::kRefuse;
  Duration sink_interval{200};  // how often records move to the store
  std::uint32_t sink_batch = 4096;
  bool operator==(const Journal&) const = default;
};

enum class StoreKind : std::uint8_t { kSqlite, kPostgres };

// [store]
struct Store {
  StoreKind kind = StoreKind::kSqlite;
  std::string path;  // of the SQLite file; empty: state_dir/sluice.db
  Secret url;        // of PostgreSQL
  Duration backup_time{std::chrono::hours(1)};
  bool operator==(const Store&) const = default;
};

// [responses]
struct Responses {
  Duration keep{30LL * 24 * 3600 * 1000};
  std::uint32_t most_per_user = 10'000;
  Duration look_up_time{5'000};
  Duration poll_interval{2'000};
  Duration longest_poll_interval{30'000};
  Duration poll_time{15'000};
  std::uint32_t polls_at_once = 8;
  Duration background_life{24LL * 3600 * 1000};
  std::uint32_t most_in_background = 10'000;
  bool operator==(const Responses&) const = default;
};

// [admin]
struct Admin {
  std::string socket;   // empty: state_dir/admin.sock
  std::string metrics;  // HOST:PORT of the metrics endpoint; empty: on the admin socket only
  bool operator==(const Admin&) const = default;
};

// [audit]
struct Audit {
  std::vector<std::string> label_headers;  // request headers kept as labels, "x-label-…"
  std::vector<std::string> label_members;  // of calls' bodies, "user" and "metadata"
  std::uint32_t max_labels = 16;
  Duration keep{400LL * 24 * 3600 * 1000};
  bool operator==(const Audit&) const = default;
};

enum class LogFormat : std::uint8_t { kText, kJson };
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

// [log]
struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool access = false;              // one line a call
  std::uint32_t access_rate = 100;  // lines a second at most; the rest is counted
  bool operator==(const Log&) const = default;
};

// [policies]
struct Policies {
  std::vector<std::string> order{"model_access", "rate_limit", "budget", "audit"};
  std::vector<std::string> stored_prompts;  // "TENANT:PROMPT_ID", "*" for every tenant
  bool operator==(const Policies&) const = default;
};

// [secrets]
struct Secrets {
  Secret master_key;      // that secrets of the store are sealed with
  Secret old_master_key;  // what some of them may still be sealed with
  bool operator==(const Secrets&) const = default;
};

// An HTTP proxy that is asked for tunnels to a server.
struct ProxyServer {
  std::string host;  // empty: there is none
  std::uint16_t port = 0;
  SecretText login;      // "USER:PASSWORD"; empty: none
  std::string named_by;  // "proxy", or the variable of the environment
  bool operator==(const ProxyServer&) const = default;
};

// A name and its price, of a price file.
struct ListedPrice {
  std::string model;
  Price price;
  bool operator==(const ListedPrice&) const = default;
};

// [[upstream]]: a model server that the gateway calls itself.
struct Upstream {
  std::string name;
  std::string kind{"openai-compatible"};  // a row of upstream_kinds()
  std::string url;  // "http://HOST:PORT" or "https://…", a path prefix allowed; empty: the kind's
  Secret api_key;
  std::string credential;                   // how api_key is shown: a row of credential_kinds(); empty: the kind's
  std::string api_version;                  // empty: the kind's
  std::vector<std::string> dialects;        // that it speaks; empty: the kind's
  std::vector<std::string> lacks;           // endpoints of these that it has not, by name
  std::vector<std::string> models;          // "NAME" or "NAME=ITS_NAME"; empty: asked
  std::uint64_t cost_percent = 100;         // what it takes, of costs or else of what a call is charged
  std::string cost_file;                    // a price file with what it takes; empty: none
  std::vector<ListedPrice> costs;           // what stands there, by its own names
  bool cost_known = false;                  // one of these was given
  bool files = false;                       // it keeps files and batches
  std::uint32_t slots = 256;                // concurrent calls
  bool usage_in_stream = true;              // ask for usage in streams that did not
  CapMember cap_member = CapMember::kAuto;  // as what a cap that we add to a chat is sent
  std::string ca_file;                      // empty: the system's
  std::string proxy;    // URL, file:PATH or env:NAME that holds one, "none"; empty: the environment's
  ProxyServer through;  // what that comes to; filled by the loader
  Duration connect_time{5'000};
  Duration resolve_interval{30'000};
  Duration head_time{600'000};
  Duration stream_gap{600'000};
  Duration first_token_time{0};  // from the request to a stream's first event; 0: not bounded apart
  Duration total_time{0};        // from the request to the end of its answer; 0: not bounded
  Duration idle_time{4'000};     // of a pooled connection; uvicorn keeps one for 5 s
  std::uint32_t pool = 64;       // idle connections kept per worker
  Duration health_interval{10'000};
  std::string health_path;        // empty: /v1/models
  std::vector<std::string> tags;  // that routes may name
  bool operator==(const Upstream&) const = default;
};

// [[model]]
struct Model {
  std::string name;
  std::string upstream_name;          // how the upstream calls it; empty: the same
  std::uint64_t max_output = 32'768;  // tokens
  Duration head_time{0}, first_token_time{0}, stream_gap{0}, total_time{0};  // 0: the place's
  Price price;                           // price_prompt, …: USD per million tokens
  LimitSpec limits;                      // rpm, tpm, concurrency
  std::vector<BudgetSpec> budgets;       // "tokens:1000000/month", "usd:25/day", "… soft"
  std::vector<BudgetSpec> user_budgets;  // the same for each user on this model
  bool operator==(const Model&) const = default;
};

// [[routes]]
struct RouteRule {
  std::string model;                  // name, or with a * for any text
  std::vector<std::string> tenants;   // empty: all
  std::vector<std::string> places;    // one rank each: parse_rank(); empty: all places, in one
  std::string alias;                  // the model that it stands for; empty: itself
  std::vector<std::string> fallback;  // models that serve where it cannot be
  bool operator==(const RouteRule&) const = default;
};

// [prices]
struct Prices {
  std::string file;           // empty: none
  std::vector<Model> models;  // names and prices of the file, but for models of the conf, which have their own or took
                              // the file's; and of other names that upstreams have for these
  bool operator==(const Prices&) const = default;
};

struct Settings {
  Server server;
  std::vector<Listener> listeners;  // [[listener]]; none in the file: one with the defaults
  Tls tls;
  Http http;
  Stream stream;
  Route route;
  Breaker breaker;
  Tunnel tunnel;
  Pairing pairing;
  Ledger ledger;
  Journal journal;
  Store store;
  Responses responses;
  Admin admin;
  Audit audit;
  Log log;
  Policies policies;
  Secrets secrets;
  Prices prices;
  std::vector<Upstream> upstreams;  // [[upstream]]
  std::vector<Share> shares;
  std::vector<Model> models;        // [[model]]
  std::vector<RouteRule> routes;    // [[routes]]
  std::vector<PolicyTable> policy;  // [policy.NAME]: one for each policy that has settings
  bool operator==(const Settings&) const = default;

  // Where things are, with the defaults that hang on state_dir filled in.
  [[nodiscard]] std::string store_path() const {
    return store.path.empty() ? server.state_dir + "/sluice.db" : store.path;
  }
  [[nodiscard]] std::string journal_dir() const {
    return journal.dir.empty() ? server.state_dir + "/journal" : journal.dir;
  }
  [[nodiscard]] std::string admin_socket() const {
    return admin.socket.empty() ? server.state_dir + "/admin.sock" : admin.socket;
  }
};

}  // namespace sluice::config
