#include "server/check.h"

#include <absl/time/time.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "http/url.h"
#include "identity/gateway_ca.h"
#include "net/certificates.h"
#include "server/conf.h"
#include "server/dialects.h"
#include "server/show.h"
#include "server/state_folder.h"

namespace sluice::server {
namespace {

namespace fs = std::filesystem;

std::string day_of(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(time.time_since_epoch())));
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", utc);
}

std::string names_of(const dialect::Table& dialects) {
  std::string names;
  for (const dialect::Dialect* dialect : dialects.dialects()) {
    if (!names.empty()) names += " and ";
    names += dialect->name();
  }
  return names;
}

// Of those that a model server may have.
std::string names_of_endpoints(const dialect::Table& dialects) {
  std::string names;
  for (const dialect::Endpoint& endpoint : dialects.endpoints()) {
    if (is_answered_here(endpoint)) continue;
    if (!names.empty()) names += ", ";
    names += endpoint.name;
  }
  return names;
}

// Whether a gateway answers on the admin socket: then what the conf names is in use by right.
bool answers(const std::string& socket_path) {
  sockaddr_un address{};
  if (socket_path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answered = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(probe);
  return answered;
}

class Checker final {
 public:
  Checker(config::LoadResult& found, CheckFor who) : found_(found), s_(found.settings), who_(who) {}

  void run() {
    for (std::size_t i = 0; i < s_.upstreams.size(); ++i) check_names(fmt::format("upstream[{}]", i), s_.upstreams[i]);
    check_time_zone();
    if (!found_.good()) return;  // what follows would tell again what the settings' own check has told
    check_certificate();
    for (std::size_t i = 0; i < s_.upstreams.size(); ++i)
      check_upstream(fmt::format("upstream[{}]", i), s_.upstreams[i]);
    if (who_ != CheckFor::kCheck) return;
    check_folders();
    check_addresses();
  }

 private:
  void add(const std::string& path, std::string_view text, config::Severity severity = config::Severity::kError) {
    found_.add(path, std::string(text), severity);
  }

  // By the context that would be served with, so that nothing is good here and refused there.
  void check_certificate() {
    const bool needed = std::ranges::any_of(
        s_.listeners, [](const config::Listener& one) { return one.transport == config::Transport::kTls; });
    if (!needed) return;
    const auto tls = net::ServerTls::create(make_tls_options(s_, {}));
    if (!tls.ok()) {
      const std::string_view why = text_of(tls.status());
      const bool of_key = why.starts_with(s_.tls.key) || why.find(" key " + s_.tls.key) != std::string_view::npos;
      const bool of_certificate = why.find(s_.tls.certificate) != std::string_view::npos;
      return add(of_key ? "tls.key" : of_certificate ? "tls.certificate" : "tls", why);
    }
    const std::shared_ptr<SSL_CTX> context = (*tls)->context();
    check_dates(SSL_CTX_get0_certificate(context.get()), "the certificate");
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(context.get(), &chain);
    for (int i = 0; i < sk_X509_num(chain); ++i) check_dates(sk_X509_value(chain, i), "a certificate of its chain");
  }

  void check_dates(const X509* certificate, std::string_view which) {
    const auto read = net::read_certificate(certificate);
    if (!read.ok()) return;
    const WallTime now = SystemClock{}.wall();
    const std::string what = fmt::format("{} in {} ({})", which, s_.tls.certificate, read->common_name);
    if (now > read->not_after)
      add("tls.certificate",
          fmt::format("{} expired on {}: no client takes it; renew it", what, day_of(read->not_after)));
    if (now < read->not_before)
      add("tls.certificate",
          fmt::format("{} is good from {} on, which has not come: wait, renew it, or set the clock right", what,
                      day_of(read->not_before)));
  }

  void check_time_zone() {
    absl::TimeZone zone;
    if (!absl::LoadTimeZone(s_.ledger.time_zone, &zone))
      add("ledger.time_zone",
          fmt::format("time_zone \"{}\" is no zone: UTC, or an IANA name such as Europe/Berlin", s_.ledger.time_zone));
  }

  void check_names(const std::string& at, const config::Upstream& upstream) {
    const Dialects dialects;
    for (std::size_t i = 0; i < upstream.dialects.size(); ++i) {
      if (dialects.table().endpoints_of(upstream.dialects[i]) == 0)
        add(fmt::format("{}.dialects[{}]", at, i),
            fmt::format("there is no dialect \"{}\"; there are {}", upstream.dialects[i], names_of(dialects.table())));
    }
    for (std::size_t i = 0; i < upstream.lacks.size(); ++i) {
      const bool known = std::ranges::any_of(dialects.table().endpoints(), [&](const dialect::Endpoint& endpoint) {
        return endpoint.name == upstream.lacks[i] && !is_answered_here(endpoint);
      });
      if (!known)
        add(fmt::format("{}.lacks[{}]", at, i), fmt::format("there is no endpoint \"{}\"; there are {}",
                                                            upstream.lacks[i], names_of_endpoints(dialects.table())));
    }
  }

  void check_upstream(const std::string& at, const config::Upstream& upstream) {
    if (!upstream.ca_file.empty()) {
      const auto context =
          net::create_client_tls({.ca_file = upstream.ca_file, .certificate_file = {}, .key_file = {}, .alpn = {}});
      if (!context.ok()) return add(at + ".ca_file", text_of(context.status()));
    }
    const Dialects dialects;
    if (const auto made = make_direct_settings(upstream, dialects.table()); !made.ok())
      return add(at + ".url", text_of(made.status()));
    const config::UpstreamKind* const kind = config::find_upstream_kind(upstream.kind);
    const auto url = http::parse_base_url(upstream.url.empty() && kind != nullptr ? kind->url : upstream.url);
    if (who_ != CheckFor::kCheck || !url) return;
    const std::string& host = upstream.through.host.empty() ? url->host : upstream.through.host;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int why = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (found != nullptr) ::freeaddrinfo(found);
    if (why != 0)
      add(at + (upstream.through.host.empty() ? ".url" : ".proxy"),
          fmt::format("{} cannot be resolved now: {}; until it can, its models cannot be reached", host,
                      ::gai_strerror(why)),
          config::Severity::kWarning);
  }

  void check_folders() {
    const absl::Status state = StateFolder::check(s_.server.state_dir);
    if (!state.ok()) return add("server.state_dir", text_of(state));  // the others stand in it, as a rule
    std::error_code ec;
    if (fs::exists(s_.server.state_dir + "/ca-key.pem", ec)) {
      if (const auto ca = identity::GatewayCa::open(s_.server.state_dir); !ca.ok())
        add("server.state_dir", text_of(ca.status()));
    }
    check_place("admin.socket", s_.admin_socket(), "the admin socket");
    check_place("store.path", s_.store_path(), "the store");
    if (s_.journal.enabled) {
      if (const absl::Status journal = StateFolder::check(s_.journal_dir()); !journal.ok())
        add("journal.dir", fmt::format("the journal's folder {} cannot be used; choose another dir", s_.journal_dir()));
    }
    struct stat info {};
    if (::lstat(s_.admin_socket().c_str(), &info) == 0 && !S_ISSOCK(info.st_mode))
      add("admin.socket", fmt::format("{} is there and is no socket; choose another path", s_.admin_socket()));
    if (::stat(s_.store_path().c_str(), &info) == 0 &&
        (!S_ISREG(info.st_mode) || ::access(s_.store_path().c_str(), R_OK | W_OK) != 0))
      add("store.path",
          fmt::format("{} is no file that this user may read and write; choose another path", s_.store_path()));
  }

  // The folder of a file that serving makes. One inside the state folder is made with it.
  void check_place(const std::string& at, const std::string& path, std::string_view what) {
    const fs::path folder = fs::path(path).parent_path();
    if (folder.empty() || folder == fs::path(s_.server.state_dir)) return;
    std::error_code ec;
    if (!fs::is_directory(folder, ec))
      add(at, fmt::format("{} needs the folder {}, which does not exist; make it, or choose another path", what,
                          folder.string()));
    else if (::access(folder.c_str(), W_OK | X_OK) != 0)
      add(at,
          fmt::format("{} cannot be made in {}: {}; choose another path", what, folder.string(), std::strerror(errno)));
  }

  void check_addresses() {
    const bool ours = answers(s_.admin_socket());
    for (std::size_t i = 0; i < s_.listeners.size(); ++i)
      check_address(fmt::format("listener[{}].address", i), s_.listeners[i].address, ours);
    if (!s_.admin.metrics.empty()) check_address("admin.metrics", s_.admin.metrics, ours);
  }

  void check_address(const std::string& at, const std::string& address, bool ours) {
    const auto endpoint = net::resolve_listen_address(address);
    if (!endpoint.ok()) return add(at, text_of(endpoint.status()));
    const absl::Status free = net::check_free(*endpoint);
    if (free.ok() || (ours && absl::IsUnavailable(free))) return;
    add(at, text_of(free));
  }

  config::LoadResult& found_;
  const config::Settings& s_;
  CheckFor who_;
};

}  // namespace

config::LoadResult load_checked(const std::string& conf_path, const PolicyMaker& policies, CheckFor who) {
  config::LoadResult found =
      config::load_file(conf_path, {.files = config::Files::kCheck, .known_policies = policies.known});
  Checker(found, who).run();
  return found;
}

int check(const std::string& conf_path, const PolicyMaker& policies) {
  return config::print_check(load_checked(conf_path, policies, CheckFor::kCheck));
}

}  // namespace sluice::server
