// From the conf file's settings to what workers use.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/settings.h"
#include "ledger/ledger.h"
#include "net/tls_context.h"
#include "observe/log.h"
#include "observe/meters.h"
#include "server/front.h"
#include "tunnel/registry.h"
#include "upstream/direct.h"

namespace sluice::server {

// Dense model numbers for the ledger's arrays, given once and for the life of the process.
// Thread: any. A short lock, off the request path: at start, at a reload, when a model appears.
class ModelNumbers final {
 public:
  [[nodiscard]] std::uint32_t of(const std::string& model);
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint32_t> numbers_;
};

// What one worker gets of a conf. `chain` is shared by all of them.
[[nodiscard]] std::shared_ptr<const proxy::Conf> make_worker_conf(const config::Settings& settings,
                                                                  ModelNumbers& numbers, observe::Meters& meters,
                                                                  std::shared_ptr<const policy::Chain> chain);
[[nodiscard]] absl::StatusOr<std::shared_ptr<const FrontSettings>> make_front_settings(const config::Settings& settings,
                                                                                       const config::Listener& listener,
                                                                                       const net::ServerTls* tls);
[[nodiscard]] absl::StatusOr<upstream::DirectSettings> make_direct_settings(const config::Upstream& upstream);
[[nodiscard]] net::ServerTlsOptions make_tls_options(const config::Settings& settings, std::string tunnel_ca);
[[nodiscard]] ledger::Ledger::Options make_ledger_options(const config::Settings& settings);
[[nodiscard]] tunnel::RegistryOptions make_registry_options(const config::Settings& settings, std::uint64_t boot_id);
[[nodiscard]] observe::Log::Options make_log_options(const config::Log& log) noexcept;

// Tells the ledger what the conf says of models. Counters of models that left the conf stay, unlimited.
void apply_models(const config::Settings& settings, ModelNumbers& numbers, ledger::Ledger& ledger);

}  // namespace sluice::server
