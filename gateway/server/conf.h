// From the conf file's settings to what workers use.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/settings.h"
#include "config/upstream_kinds.h"
#include "dialect/table.h"
#include "ledger/ledger.h"
#include "net/tls_context.h"
#include "observe/log.h"
#include "observe/meters.h"
#include "server/front.h"
#include "tunnel/registry.h"
#include "upstream/direct.h"
#include "upstream/route.h"

namespace sluice::server {

// What each worker gets of a conf, but for its models. `chain` is shared by all of them.
[[nodiscard]] proxy::Conf make_worker_conf(const config::Settings& settings,
                                           std::shared_ptr<const policy::Chain> chain);
[[nodiscard]] absl::StatusOr<std::shared_ptr<const FrontSettings>> make_front_settings(const config::Settings& settings,
                                                                                       const config::Listener& listener,
                                                                                       std::shared_ptr<SSL_CTX> tls);
[[nodiscard]] absl::StatusOr<upstream::DirectSettings> make_direct_settings(
    const config::Upstream& upstream, const dialect::Table& dialects,
    std::span<const config::CredentialKind> credentials = config::credential_kinds());
[[nodiscard]] proxy::KeptCalls::Options make_kept_options(const config::Settings& settings) noexcept;
[[nodiscard]] proxy::StoredResponses::Options make_response_options(const config::Settings& settings) noexcept;
[[nodiscard]] net::ServerTlsOptions make_tls_options(const config::Settings& settings, std::string tunnel_ca);
[[nodiscard]] ledger::Ledger::Options make_ledger_options(const config::Settings& settings);
[[nodiscard]] tunnel::RegistryOptions make_registry_options(const config::Settings& settings, std::uint64_t boot_id,
                                                            const dialect::Table& dialects);
[[nodiscard]] tunnel::RegistryLimits make_registry_limits(const config::Settings& settings) noexcept;
[[nodiscard]] observe::Log::Options make_log_options(const config::Log& log) noexcept;

// The conf's routes, with the upstreams that bear a tag in the place of each tag.
[[nodiscard]] std::vector<upstream::RouteRule> make_routes(const config::Settings& settings);
// What a name stands for at the places: an alias of [[routes]], or upstream_name of its [[model]]; else itself.
[[nodiscard]] std::string upstream_name_of(const config::Settings& settings, const std::string& model);

}  // namespace sluice::server
