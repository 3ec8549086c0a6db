// What one value alone cannot show: duplicates, files that cannot be read, keys that need each other.
#include <arpa/inet.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "config/check_routes.h"
#include "config/check_upstreams.h"
#include "config/header_names.h"
#include "config/named_files.h"
#include "config/price_files.h"
#include "config/reader.h"
#include "config/text.h"
#include "config/values.h"

namespace sluice::config {
namespace {

struct HostPort {
  std::string host;
  std::uint32_t port = 0;
};

// The address as bytes, so that "::1" and "0:0:0:0:0:0:0:1" are one. IPv4 as it stands inside IPv6: [::] takes both.
std::array<unsigned char, 16> bytes_of(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return bytes;
  bytes[10] = bytes[11] = 0xff;
  inet_pton(AF_INET, host.c_str(), bytes.data() + 12);
  return bytes;
}

// Whether both cannot be listened on at once: the same address, or one of them stands for all.
bool overlap(const HostPort& a, const HostPort& b) {
  if (a.port != b.port || a.port == 0) return false;
  const auto one = bytes_of(a.host), other = bytes_of(b.host);
  static const auto kAll = bytes_of("::"), kAllV4 = bytes_of("0.0.0.0");
  const auto v4 = [](const auto& bytes) { return std::equal(bytes.begin(), bytes.begin() + 12, kAllV4.begin()); };
  if (one == other || one == kAll || other == kAll) return true;
  return (one == kAllV4 && v4(other)) || (other == kAllV4 && v4(one));
}

bool is_ip(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

std::optional<HostPort> split_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const std::string_view port = text.substr(colon + 1);
  HostPort parts{std::string(host), 0};
  const bool digits =
      !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || !parse_whole(port, parts.port) || parts.port > 65535 || !is_ip(parts.host)) return std::nullopt;
  if (brackets != (parts.host.find(':') != std::string::npos)) return std::nullopt;
  return parts;
}

bool is_loopback(const HostPort& address) { return address.host.starts_with("127.") || address.host == "::1"; }

bool is_network(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string host = text.substr(0, slash);
  if (!is_ip(host)) return false;
  if (slash == std::string::npos) return true;
  const std::string bits = text.substr(slash + 1);
  std::uint32_t count = 0;
  const bool digits = !bits.empty() && bits.size() <= 3 && bits.find_first_not_of("0123456789") == std::string::npos;
  return digits && parse_whole(bits, count) && count <= (host.find(':') == std::string::npos ? 32U : 128U);
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return text;
}

class Checker final {
 public:
  Checker(Settings& settings, const LoadOptions& options, const std::string& folder, Findings& findings)
      : s_(settings), options_(options), files_(options, folder, findings), findings_(findings) {}

  void run() {
    check_listeners();
    check_tls();
    check_bounds();
    check_store_and_admin();
    check_labels();
    check_forwarded("route.forward_headers", s_.route.forward_headers, Wildcard::kAllowed);
    check_forwarded("route.scoped_headers", s_.route.scoped_headers, Wildcard::kNone);
    check_policies();
    check_master_key("secrets.master_key", s_.secrets.master_key);
    check_master_key("secrets.old_master_key", s_.secrets.old_master_key);
    check_upstreams(s_, files_, findings_);
    check_shares();
    check_models();
    check_routes(s_, findings_);
    take_price_files(s_, files_, findings_);
  }

 private:
  void check_listeners() {
    for (std::size_t i = 0; i < s_.listeners.size(); ++i) {
      const Listener& listener = s_.listeners[i];
      const std::string at = cat("listener[", i, "]");
      const auto address = split_address(listener.address);
      if (!address) {
        findings_.add(at + ".address", cat("address \"", listener.address,
                                           "\" is IP:PORT, port 0 to 65535: \"127.0.0.1:8443\", \"[::]:443\""));
        continue;
      }
      check_apart(at + ".address", listener.address, *address);
      if (listener.transport == Transport::kPlain && !listener.plain_anywhere && !is_loopback(*address)) {
        findings_.add(at + ".transport",
                      "plain is for loopback addresses; behind another TLS end set plain_anywhere = true");
      }
      check_networks(at + ".proxy_protocol", listener.proxy_protocol);
      check_networks(at + ".trust_forwarded_for", listener.trust_forwarded_for);
    }
  }

  // Each address is listened on once.
  void check_apart(const std::string& at, const std::string& text, const HostPort& address) {
    const auto other = std::ranges::find_if(taken_, [&](const auto& one) { return overlap(one.second, address); });
    if (other == taken_.end()) {
      taken_.emplace_back(text, address);
    } else if (other->first == text) {
      findings_.add(at, cat("address ", text, " is given twice; each listener has its own"));
    } else {
      findings_.add(at, cat("address ", text, " overlaps with ", other->first,
                            ", which is listened on as well; leave one ", "of them out, or give it another port"));
    }
  }

  void check_networks(const std::string& at, const std::vector<std::string>& networks) {
    for (std::size_t i = 0; i < networks.size(); ++i) {
      if (is_network(networks[i])) continue;
      findings_.add(cat(at, "[", i, "]"),
                    cat("\"", networks[i], "\" is no network: \"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\""));
    }
  }

  void check_tls() {
    check_names("cipher_suites", s_.tls.cipher_suites, Tls{}.cipher_suites);
    check_names("groups", s_.tls.groups, Tls{}.groups);
    const bool needed = std::any_of(s_.listeners.begin(), s_.listeners.end(),
                                    [](const Listener& l) { return l.transport == Transport::kTls; });
    if (!needed) return;
    files_.check("tls.certificate", s_.tls.certificate, "give a PEM file with the server's certificate and its chain");
    files_.check("tls.key", s_.tls.key,
                 "give a PEM file with the certificate's private key, readable by the gateway's user");
  }

  // The defaults name all that there are.
  void check_names(const char* key, const std::vector<std::string>& given, const std::vector<std::string>& known) {
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (std::find(known.begin(), known.end(), given[i]) != known.end()) continue;
      findings_.add(cat("tls.", key, "[", i, "]"),
                    cat("\"", given[i], "\" is none of ", known[0], ", ", known[1], ", ", known[2]));
    }
    if (given.empty()) findings_.add(cat("tls.", key), cat(key, " names at least one"));
  }

  void check_bounds() {
    if (s_.http.buffered_limit < s_.http.body_limit) {
      findings_.add("http.buffered_limit", "buffered_limit is at least body_limit, or no such body could be taken");
    }
    if (s_.tunnel.connection_window < s_.tunnel.stream_window) {
      findings_.add("tunnel.connection_window", "connection_window is at least stream_window");
    }
    const std::string& zone = s_.ledger.time_zone;
    const bool plain = zone.find("..") == std::string::npos && !zone.starts_with('/');
    const bool known = zone == "UTC" || (plain && ::access(cat("/usr/share/zoneinfo/", zone).c_str(), R_OK) == 0);
    if (!known)
      findings_.add("ledger.time_zone",
                    cat("time_zone \"", zone,
                        "\" is not known here: UTC, or an IANA name as in /usr/share/zoneinfo, with tzdata installed"));
  }

  void check_store_and_admin() {
    // Known words, so that a conf written for a fleet is told what is wrong instead of being served from SQLite.
    if (s_.store.kind == StoreKind::kPostgres)
      findings_.add("store.kind", "this version has no PostgreSQL store: kind is \"sqlite\"");
    if (s_.store.url.given()) findings_.add("store.url", "this version has no PostgreSQL store: leave url out");
    if (s_.admin_socket().size() >= sizeof(sockaddr_un::sun_path)) {
      findings_.add("admin.socket", cat("the path of the admin socket has more than ",
                                        sizeof(sockaddr_un::sun_path) - 1, " bytes; give a shorter one"));
    }
    if (!s_.admin.metrics.empty()) check_metrics();
  }

  void check_metrics() {
    const auto address = split_address(s_.admin.metrics);
    if (!address) return findings_.add("admin.metrics", "metrics is IP:PORT, or empty");
    check_apart("admin.metrics", s_.admin.metrics, *address);
    if (is_loopback(*address)) return;
    findings_.add("admin.metrics",
                  cat("metrics asks for no key: whoever reaches ", s_.admin.metrics,
                      " reads them; choose a loopback address, or one of a network that is the operators' alone"),
                  Severity::kWarning);
  }

  void check_labels() {
    for (std::size_t i = 0; i < s_.audit.label_members.size(); ++i) {
      const std::string& name = s_.audit.label_members[i];
      if (name != "user" && name != "metadata")
        findings_.add(cat("audit.label_members[", i, "]"), cat(name, " is no such member; it is user or metadata"));
    }
    static constexpr std::array kSecret{"authorization", "api-key", "x-api-key", "cookie", "proxy-authorization"};
    for (std::size_t i = 0; i < s_.audit.label_headers.size(); ++i) {
      std::string& name = s_.audit.label_headers[i];
      name = lower(name);
      const std::string at = cat("audit.label_headers[", i, "]");
      if (std::find(kSecret.begin(), kSecret.end(), name) != kSecret.end()) {
        findings_.add(at, cat(name, " carries a secret and is never recorded"));
      } else if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos) {
        findings_.add(at, "label_headers holds names of headers: letters, digits, - and _");
      }
    }
  }

  enum class Wildcard : std::uint8_t { kAllowed, kNone };
  void check_forwarded(const std::string& list, std::vector<std::string>& names, Wildcard wildcard) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string& name = names[i];
      name = lower(name);
      const std::string at = cat(list, "[", i, "]");
      const bool any = wildcard == Wildcard::kAllowed && name.size() > 1 && name.ends_with('*');
      const std::string_view text = std::string_view(name).substr(0, name.size() - (any ? 1 : 0));
      if (is_never_forwarded(text)) {
        findings_.add(at, cat(name, " says who the client is or belongs to its connection, and is never passed on"));
      } else if (wildcard == Wildcard::kAllowed && text == "idempotency-key") {
        findings_.add(at, "idempotency-key would let two tenants meet; it belongs into scoped_headers");
      } else if (text.empty() || text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != text.npos) {
        findings_.add(at, cat("\"", name, "\" is no name of a header: letters, digits, - and _",
                              wildcard == Wildcard::kAllowed ? ", with a * at its end for all that begin so" : ""));
      }
    }
  }

  void check_policies() {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < s_.policies.order.size(); ++i) {
      const std::string& name = s_.policies.order[i];
      const std::string at = cat("policies.order[", i, "]");
      if (!seen.insert(name).second) findings_.add(at, cat("policy ", name, " stands here twice"));
      std::vector<std::string_view> known;
      for (const KnownPolicy& policy : options_.known_policies) known.push_back(policy.name);
      if (known.empty() || std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string_view near = nearest(name, known);
      findings_.add(at,
                    cat("unknown policy ", name, near.empty() ? "" : "; did you mean ", near, near.empty() ? "" : "?"));
    }
    for (std::size_t i = 0; i < s_.policies.stored_prompts.size(); ++i) {
      const std::string& prompt = s_.policies.stored_prompts[i];
      const std::size_t colon = prompt.rfind(':');
      if (colon != std::string::npos && colon != 0 && colon + 1 != prompt.size()) continue;
      findings_.add(cat("policies.stored_prompts[", i, "]"),
                    cat("\"", prompt, "\" is not TENANT:PROMPT_ID, such as \"acme:pmpt_123\" or \"*:pmpt_123\""));
    }
  }

  // One that cannot be read stops nobody else's calls: it is a warning.
  void check_master_key(const std::string& at, Secret& secret) {
    if (!secret.given() || options_.files == Files::kTrust) return;
    if (secret.reference.starts_with("file:")) {
      const std::string path = files_.whole_path(secret.reference.substr(5));
      for (const std::string& folder : {s_.server.state_dir, folder_of(s_.store_path())}) {
        if (is_inside(path, folder))
          return findings_.add(at, cat(path, " stands beside the store, so that a copy of ", folder,
                                       " would hold both; keep it in another folder"));
      }
    }
    files_.read_secret(at, secret, Severity::kWarning);
    constexpr std::size_t kLeast = 32;
    if (!secret.value.empty() && secret.value.size() < kLeast)
      findings_.add(
          at,
          "the master key is too short: it is a line of at least 32 random characters; make one with: openssl rand "
          "-base64 48");
  }

  static std::string folder_of(const std::string& path) {
    return path.substr(0, std::max<std::size_t>(path.rfind('/') + 1, 1) - 1);
  }
  static bool is_inside(const std::string& path, const std::string& folder) {
    std::error_code none;
    const std::string whole = std::filesystem::weakly_canonical(path, none).string();
    const std::string outer = std::filesystem::weakly_canonical(folder, none).string();
    return !outer.empty() && whole.starts_with(outer) && whole.size() > outer.size() &&
           (outer == "/" || whole[outer.size()] == '/');
  }
  void check_shares() {
    for (std::size_t i = 0; i < s_.shares.size(); ++i) {
      const Share& share = s_.shares[i];
      const std::string at = cat("share[", i, "]");
      if (!share.user.empty() && share.tenant.empty())
        findings_.add(at + ".user", "user is one of a tenant: say which, by tenant");
      else if (!share.key.empty() && !share.tenant.empty())
        findings_.add(at + ".key", "key stands alone: whose it is, the key says");
      else if (!share.key.empty() && !key_number(share.key))
        findings_.add(at + ".key", "key is the id of a key, such as key_7 (sluice key list), never the key itself");
    }
  }

  void check_models() {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < s_.models.size(); ++i) {
      if (s_.models[i].name.empty() || seen.insert(s_.models[i].name).second) continue;
      findings_.add(cat("model[", i, "].name"), cat("model ", s_.models[i].name, " is given twice"));
    }
  }

  Settings& s_;
  const LoadOptions& options_;
  NamedFiles files_;
  Findings& findings_;
  std::vector<std::pair<std::string, HostPort>> taken_;  // addresses that are listened on, as the file has them
};

}  // namespace

void check(Settings& settings, const LoadOptions& options, const std::string& folder, Findings& findings) {
  Checker(settings, options, folder, findings).run();
}

}  // namespace sluice::config
