#include "server/conf.h"

#include <absl/strings/str_join.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "base/ids.h"
#include "config/values.h"

namespace sluice::server {

// The ids of keys have been checked.
static void add_shares(const config::Settings& settings, proxy::QueueShares& shares) {
  for (const config::Share& share : settings.shares) {
    const QueueShare what{.weight = share.weight, .priority = share.priority};
    if (!share.key.empty())
      shares.add_key(*config::key_number(share.key), what);
    else if (!share.user.empty())
      shares.add_user(share.tenant, share.user, what);
    else if (!share.tenant.empty())
      shares.add_tenant(share.tenant, what);
    else
      shares.set_others(what);
  }
}

proxy::Conf make_worker_conf(const config::Settings& settings, std::shared_ptr<const policy::Chain> chain) {
  proxy::Conf conf;
  conf.settings.body_bytes = settings.http.body_limit;
  conf.settings.answer_bytes = settings.route.answer_limit;
  conf.settings.event_bytes = settings.stream.event_limit;
  conf.settings.first_ping = settings.stream.first_ping;
  conf.settings.ping_interval = settings.stream.ping_interval;
  conf.settings.hold = settings.route.hold;
  conf.settings.queue_time = settings.route.queue_time;
  conf.settings.look_up = settings.responses.look_up_time;
  if (settings.ledger.drain_aborted) conf.settings.drain_aborted = settings.ledger.drain_time;
  conf.settings.max_claim = settings.ledger.max_claim;
  conf.settings.refused_members = settings.route.refused_members;
  conf.settings.attempts = settings.route.connect_attempts;
  conf.settings.retries = proxy::RetryTable(settings.route.retry_unsafe);
  conf.settings.breaker = {.enabled = settings.breaker.enabled,
                           .failures = settings.breaker.failures,
                           .rate_percent = settings.breaker.rate_percent,
                           .rate_calls = settings.breaker.rate_calls,
                           .window = settings.breaker.window,
                           .slow_head = settings.breaker.slow_head,
                           .eject_time = settings.breaker.eject_time,
                           .most_eject_time = settings.breaker.max_eject_time,
                           .most_hold_off = settings.breaker.max_hold_off};
  conf.settings.queue = {.calls = settings.route.queue,
                         .calls_per_user = settings.route.queue_per_user,
                         .passed_over = settings.route.queue_passed_over,
                         .memory = settings.route.queue_memory};
  conf.settings.queue_output = settings.ledger.slice;
  add_shares(settings, conf.settings.shares);
  conf.settings.label_headers = settings.audit.label_headers;
  conf.settings.label_members = settings.audit.label_members;
  conf.settings.most_labels = settings.audit.max_labels;
  for (const config::RouteRule& rule : settings.routes) {
    if (!rule.alias.empty() && rule.model.find('*') != std::string::npos)
      conf.settings.open_aliases.emplace_back(rule.model, rule.alias);
  }
  conf.settings.stored_prompts = settings.policies.stored_prompts;
  conf.forward = proxy::ForwardRules(settings.route.forward_headers, settings.route.scoped_headers);
  conf.chain = std::move(chain);
  return conf;
}

absl::StatusOr<std::shared_ptr<const FrontSettings>> make_front_settings(const config::Settings& settings,
                                                                         const config::Listener& listener,
                                                                         std::shared_ptr<SSL_CTX> tls) {
  auto front = std::make_shared<FrontSettings>();
  front->listener = listener.address;
  front->tls = listener.transport == config::Transport::kTls;
  front->protocols = {net::kHttp11Alpn};
  if (listener.tunnels && front->tls) front->protocols.push_back(net::kTunnelAlpn);
  front->handshake_time = settings.tls.handshake_time;
  front->handshakes = {.running = settings.tls.handshakes, .waiting = settings.tls.handshake_queue};
  if (front->tls) front->context = std::move(tls);
  auto proxies = net::Networks::parse(listener.proxy_protocol);
  auto forwarders = net::Networks::parse(listener.trust_forwarded_for);
  if (!proxies || !forwarders)
    return absl::InvalidArgumentError("a trusted network is not of the form 10.0.0.0/8 or 2001:db8::/32");
  front->proxy_protocol = *std::move(proxies);
  front->trust_forwarded_for = *std::move(forwarders);
  front->limits = {.head_bytes = settings.http.head_limit,
                   .read_ahead_bytes = settings.http.read_ahead,
                   .head_time = settings.http.head_time,
                   .idle_time = settings.http.idle_time,
                   .body_gap = settings.http.body_gap,
                   .write_gap = settings.http.write_gap};
  front->cors = {.origins = listener.cors_origins,
                 .max_age = std::chrono::duration_cast<std::chrono::seconds>(listener.cors_max_age)};
  return front;
}

// Those of its dialects.
static std::uint64_t spoken_endpoints(const config::Upstream& upstream, const config::UpstreamKind& kind,
                                      const dialect::Table& dialects) {
  if (upstream.dialects.empty()) return kind.dialect.empty() ? ~std::uint64_t{0} : dialects.endpoints_of(kind.dialect);
  std::uint64_t endpoints = 0;
  for (const std::string& name : upstream.dialects) endpoints |= dialects.endpoints_of(name);
  return endpoints;
}

// Which of the program's endpoints it has.
static std::uint64_t endpoints_of(const config::Upstream& upstream, const config::UpstreamKind& kind,
                                  const dialect::Table& dialects) {
  std::uint64_t endpoints = spoken_endpoints(upstream, kind, dialects);
  const std::span<const dialect::Endpoint> all = dialects.endpoints();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool of_files = dialect::is_about_kept(all[i]) && all[i].kept != Kept::kResponse;
    const bool lacks = std::ranges::find(upstream.lacks, all[i].name) != upstream.lacks.end();
    if (lacks || (of_files && !upstream.files)) endpoints &= ~(std::uint64_t{1} << i);
  }
  return endpoints;
}

static http::Proxy make_proxy(const config::ProxyServer& through) {
  http::Proxy proxy{.host = through.host, .port = through.port, .authorization = {}};
  if (through.login.empty()) return proxy;
  constexpr std::string_view kScheme = "Basic ";  // RFC 7617
  proxy.authorization = kScheme;
  proxy.authorization.resize(kScheme.size() + 4 * ((through.login.size() + 2) / 3) + 1);  // and a NUL
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(proxy.authorization.data() + kScheme.size()),
                  reinterpret_cast<const unsigned char*>(through.login.data()), static_cast<int>(through.login.size()));
  proxy.authorization.pop_back();
  return proxy;
}

absl::StatusOr<upstream::DirectSettings> make_direct_settings(const config::Upstream& upstream,
                                                              const dialect::Table& dialects,
                                                              std::span<const config::CredentialKind> credentials) {
  const config::UpstreamKind* const kind = config::find_upstream_kind(upstream.kind);
  if (kind == nullptr)
    return absl::InvalidArgumentError(fmt::format("upstream {}: there is no kind {}", upstream.name, upstream.kind));
  const auto or_kinds = [](const std::string& given, std::string_view kinds) {
    return given.empty() ? kinds : std::string_view(given);
  };
  const std::string_view text = or_kinds(upstream.url, kind->url);
  const auto url = http::parse_base_url(text);
  if (!url)
    return absl::InvalidArgumentError(
        fmt::format("upstream {}: '{}' is not http://HOST:PORT or https://…", upstream.name, text));
  upstream::DirectSettings settings;
  settings.name = upstream.name;
  settings.connection.url = *url;
  settings.connection.proxy = make_proxy(upstream.through);
  settings.connection.connect_time = upstream.connect_time;
  settings.connection.resolve_interval = upstream.resolve_interval;
  settings.connection.idle_time = upstream.idle_time;
  settings.connection.gap = upstream.stream_gap;
  settings.connection.most_idle = upstream.pool;
  if (url->tls) {
    auto context = net::create_client_tls(
        {.ca_file = upstream.ca_file, .certificate_file = {}, .key_file = {}, .alpn = {"http/1.1"}});
    if (!context.ok()) return context.status();
    settings.connection.context = *std::move(context);
  }
  settings.kind = *kind;
  settings.api_version = or_kinds(upstream.api_version, kind->version);
  settings.endpoints = endpoints_of(upstream, *kind, dialects);
  const config::CredentialKind* const credential =
      config::find_credential_kind(or_kinds(upstream.credential, kind->credential), credentials);
  if (!upstream.api_key.in_store().empty() && upstream.api_key.value.empty())
    settings.unusable = self_error(ErrorKind::kUnavailable,
                                   "its api_key, a secret of the store, is not to be had; see: sluice secret list");
  if (credential != nullptr && upstream.api_key.given()) {
    settings.credential_header = credential->header;
    settings.credential = credential->scheme;
    settings.credential += std::string_view(upstream.api_key.value);
  }
  for (const std::string& model : upstream.models) {
    const std::size_t equals = model.find('=');
    settings.models.push_back(model.substr(0, equals));
    if (equals != std::string::npos) settings.names.emplace(settings.models.back(), model.substr(equals + 1));
  }
  for (const config::ListedPrice& cost : upstream.costs) settings.costs.emplace(cost.model, cost.price);
  if (upstream.cost_known) settings.cost_percent = upstream.cost_percent;
  settings.usage_in_stream = upstream.usage_in_stream;
  settings.cap_member = upstream.cap_member;
  settings.times = {.head = upstream.head_time,
                    .gap = upstream.stream_gap,
                    .first_token = upstream.first_token_time,
                    .total = upstream.total_time};
  settings.health_path = upstream.health_path;
  settings.health_interval = upstream.health_interval;
  return settings;
}

proxy::StoredResponses::Options make_response_options(const config::Settings& settings) noexcept {
  return {.keep = settings.responses.keep,
          .most_per_user = settings.responses.most_per_user,
          .interval = settings.journal.sink_interval};
}

proxy::KeptCalls::Options make_kept_options(const config::Settings& settings) noexcept {
  return {.interval = settings.responses.poll_interval,
          .longest_interval = settings.responses.longest_poll_interval,
          .answer_time = settings.responses.poll_time,
          .life = settings.responses.background_life,
          .at_once = settings.responses.polls_at_once,
          .most = settings.responses.most_in_background};
}

net::ServerTlsOptions make_tls_options(const config::Settings& settings, std::string tunnel_ca) {
  return {.certificate_file = settings.tls.certificate,
          .key_file = settings.tls.key,
          .floor = settings.tls.min_version == config::TlsVersion::k12 ? net::TlsFloor::k12 : net::TlsFloor::k13,
          .cipher_suites = absl::StrJoin(settings.tls.cipher_suites, ":"),
          .groups = absl::StrJoin(settings.tls.groups, ":"),
          .tickets = settings.tls.tickets ? net::Tickets::kOn : net::Tickets::kOff,
          .ticket_lifetime = std::chrono::duration_cast<std::chrono::seconds>(settings.tls.ticket_lifetime),
          .tunnel_ca = std::move(tunnel_ca)};
}

ledger::Ledger::Options make_ledger_options(const config::Settings& settings) {
  ledger::Ledger::Options options{.slice = settings.ledger.slice, .warn_percent = settings.ledger.warn_percent};
  absl::LoadTimeZone(settings.ledger.time_zone, &options.zone);  // checked with the conf
  return options;
}

tunnel::RegistryOptions make_registry_options(const config::Settings& settings, std::uint64_t boot_id,
                                              const dialect::Table& dialects) {
  const config::Tunnel& tunnel = settings.tunnel;
  std::array<char, 16> generation;
  tunnel::RegistryOptions options;
  options.session = {.stream_window_bytes = static_cast<std::uint32_t>(tunnel.stream_window),
                     .connection_window_bytes = static_cast<std::uint32_t>(tunnel.connection_window),
                     .max_streams = tunnel.max_streams,
                     .ping_interval = tunnel.ping_interval,
                     .missed_pings = tunnel.missed_pings,
                     .control_frames = tunnel.control_frames};
  options.endpoints = dialects.endpoints();
  options.gateway = settings.server.name;
  options.generation = write_hex(boot_id, generation);
  options.tunnels_per_agent = tunnel.tunnels_per_agent;
  options.head_time = tunnel.head_time;
  options.stream_gap = tunnel.stream_gap;
  options.first_token_time = tunnel.first_token_time;
  options.total_time = tunnel.total_time;
  options.reconnect_cap = tunnel.reconnect_cap;
  return options;
}

tunnel::RegistryLimits make_registry_limits(const config::Settings& settings) noexcept {
  return {.default_slots = settings.tunnel.agent_slots,
          .most_slots = settings.tunnel.max_agent_slots,
          .most_models = settings.route.models_per_source};
}

observe::Log::Options make_log_options(const config::Log& log) noexcept {
  observe::Level level = observe::Level::kInfo;
  switch (log.level) {
    case config::LogLevel::kDebug:
      level = observe::Level::kDebug;
      break;
    case config::LogLevel::kInfo:
      level = observe::Level::kInfo;
      break;
    case config::LogLevel::kWarn:
      level = observe::Level::kWarn;
      break;
    case config::LogLevel::kError:
      level = observe::Level::kError;
      break;
  }
  return {.level = level,
          .format = log.format == config::LogFormat::kJson ? observe::Format::kJson : observe::Format::kText,
          .access_rate = log.access ? log.access_rate : 0};
}

static std::vector<config::RouteOption> without_tags(const config::Settings& settings,
                                                     const std::vector<config::RouteOption>& options) {
  std::vector<config::RouteOption> named;
  for (const config::RouteOption& option : options) {
    if (option.kind != config::RouteOption::Kind::kTag) {
      named.push_back(option);
      continue;
    }
    for (const config::Upstream& upstream : settings.upstreams) {
      if (std::ranges::find(upstream.tags, option.name) != upstream.tags.end())
        named.push_back({config::RouteOption::Kind::kUpstream, upstream.name, option.weight});
    }
  }
  return named;
}

std::vector<upstream::RouteRule> make_routes(const config::Settings& settings) {
  std::vector<upstream::RouteRule> rules;
  for (const config::RouteRule& rule : settings.routes) {
    if (!rule.alias.empty() && rule.places.empty() && rule.fallback.empty()) continue;  // an alias alone
    upstream::RouteRule& made = rules.emplace_back();
    made.model = rule.model;
    made.tenants = rule.tenants;
    made.fallback = rule.fallback;
    for (const std::string& rank : rule.places) {
      const auto options = config::parse_rank(rank);  // checked with the conf
      if (options.ok()) made.ranks.push_back(without_tags(settings, *options));
    }
  }
  return rules;
}

std::string upstream_name_of(const config::Settings& settings, const std::string& model) {
  const auto own = std::ranges::find(settings.models, model, &config::Model::name);
  return own == settings.models.end() || own->upstream_name.empty() ? model : own->upstream_name;
}

}  // namespace sluice::server
