#include "config/check_upstreams.h"

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "config/proxy.h"
#include "config/text.h"
#include "config/upstream_kinds.h"

namespace sluice::config {
namespace {

bool is_http_url(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!url.starts_with(scheme)) continue;
    const std::string_view rest = url.substr(scheme.size());
    const std::string_view authority = rest.substr(0, rest.find('/'));
    if (authority.empty() || url.find_first_of("?#@ ") != std::string_view::npos) return false;
    const std::size_t colon = authority.rfind(':');
    if (colon == std::string_view::npos || authority.back() == ']') return true;
    std::uint32_t port = 0;
    return colon > 0 && parse_whole(authority.substr(colon + 1), port) && port >= 1 && port <= 65535;
  }
  return false;
}

class UpstreamChecker final {
 public:
  UpstreamChecker(Settings& settings, NamedFiles& files, Findings& findings) noexcept
      : s_(settings), files_(files), findings_(findings) {}

  void run() {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < s_.upstreams.size(); ++i) {
      Upstream& upstream = s_.upstreams[i];
      const std::string at = cat("upstream[", i, "]");
      if (!upstream.name.empty() && !seen.insert(upstream.name).second) {
        findings_.add(at + ".name", cat("upstream ", upstream.name, " is given twice"));
      }
      check_upstream_kind(at, upstream);
      if (!upstream.url.empty() && !is_http_url(upstream.url)) {
        findings_.add(at + ".url", "url is http://HOST[:PORT][/PATH] or https://…, without user, query or fragment");
      }
      check_api_key(at + ".api_key", upstream.api_key);
      const bool path = upstream.health_path.starts_with('/') && std::ranges::all_of(upstream.health_path, is_visible);
      if (!upstream.health_path.empty() && !path)
        findings_.add(at + ".health_path", "health_path is a path from the root on, such as /health");
      if (!upstream.ca_file.empty())
        files_.check(at + ".ca_file", upstream.ca_file, "give a PEM file with the CAs' certificates");
      find_proxy(at + ".proxy", upstream);
    }
  }

 private:
  // Says nothing of the value: it may hold a password.
  void find_proxy(const std::string& at, Upstream& upstream) {
    if (upstream.proxy == kNoProxy) return;
    if (upstream.proxy.empty()) return take_proxy_of_environment(at, upstream);
    Secret elsewhere;
    const bool is_here = !upstream.proxy.starts_with("file:") && !upstream.proxy.starts_with("env:");
    if (!is_here) {
      elsewhere.reference = upstream.proxy;
      files_.read_secret(at, elsewhere);
      if (elsewhere.value.empty()) return;
    }
    std::optional<ProxyServer> proxy = parse_proxy(is_here ? upstream.proxy : std::string_view(elsewhere.value));
    if (!proxy)
      return findings_.add(at,
                           "proxy is http://HOST:PORT or http://USER:PASSWORD@HOST:PORT of an HTTP proxy, file:PATH or "
                           "env:NAME with that in it, or \"none\"");
    if (is_here && !proxy->login.empty())
      findings_.add(at,
                    "proxy has a password in it; to keep it out of this file, give file:PATH or env:NAME that holds "
                    "the whole URL",
                    Severity::kWarning);
    upstream.through = *std::move(proxy);
    upstream.through.named_by = "proxy";
  }

  void take_proxy_of_environment(const std::string& at, Upstream& upstream) {
    if (files_.are_trusted()) return;
    const UpstreamKind* const kind = find_upstream_kind(upstream.kind);
    const std::string_view url = upstream.url.empty() && kind != nullptr ? kind->url : upstream.url;
    absl::StatusOr<ProxyServer> found = config::find_proxy(read_proxy_environment(), url);
    if (!found.ok()) return findings_.add(at, std::string(found.status().message()));
    upstream.through = *std::move(found);
  }

  void check_api_key(const std::string& at, Secret& secret) {
    const std::string_view name = secret.in_store();
    if (name.empty()) return files_.read_secret(at, secret);
    if (!is_secret_name(name))
      findings_.add(at, "secret:NAME names a secret of the store: 1 to 64 letters, digits, '.', '_' and '-'");
    if (!s_.secrets.master_key.given())
      findings_.add(
          at, cat("secret:", name, " is sealed in the store; name the key that opens it in [secrets] master_key"));
  }

  void check_upstream_kind(const std::string& at, const Upstream& upstream) {
    const UpstreamKind* const kind = find_upstream_kind(upstream.kind);
    if (kind == nullptr) {
      findings_.add(at + ".kind", cat("kind ", upstream.kind, " is none; it is ", names_of(upstream_kinds())));
      return;
    }
    if (upstream.url.empty() && kind->url.empty())
      findings_.add(at, cat("url is missing in [[upstream]]: one of kind ", kind->name, " is at a URL of your own"));
    if (kind->paths == PathRule::kDeployment && upstream.url.find("/openai") != std::string::npos)
      findings_.add(at + ".url", "url is that of the resource, such as https://NAME.openai.azure.com, without /openai");
    if (!upstream.credential.empty() && find_credential_kind(upstream.credential, credential_kinds()) == nullptr) {
      findings_.add(at + ".credential",
                    cat("credential ", upstream.credential, " is none; it is ", names_of(credential_kinds())));
    }
    if (!std::ranges::all_of(upstream.api_version, is_visible))
      findings_.add(at + ".api_version", "api_version is visible characters, such as 2024-10-21");
    if (!kind->lists_models && upstream.models.empty())
      findings_.add(at + ".models", cat("models is empty: an upstream of kind ", kind->name,
                                        " does not list what it can be called with; name its models"));
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < upstream.models.size(); ++i) {
      const std::string& model = upstream.models[i];
      const std::size_t equals = model.find('=');
      const std::string_view name = std::string_view(model).substr(0, equals);
      if (!seen.insert(name).second)
        findings_.add(
            cat(at, ".models[", i, "]"),
            cat("model ", name, " is given twice; give it once, with the name that this upstream has for it"));
      const bool both = equals == std::string::npos || (equals != 0 && equals + 1 != model.size());
      if (!both || model.find("= ") != std::string::npos || model.find(" =") != std::string::npos)
        findings_.add(cat(at, ".models[", i, "]"),
                      cat("\"", model, "\" is not NAME or NAME=ITS_NAME, without spaces around the ="));
    }
  }

  template <class Row>
  static std::string names_of(std::span<const Row> rows) {
    std::string names;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i != 0) names += i + 1 == rows.size() ? " or " : ", ";
      names += rows[i].name;
    }
    return names;
  }

  Settings& s_;
  NamedFiles& files_;
  Findings& findings_;
};

}  // namespace

void check_upstreams(Settings& settings, NamedFiles& files, Findings& findings) {
  UpstreamChecker(settings, files, findings).run();
}

}  // namespace sluice::config
