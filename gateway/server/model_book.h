// Every model that is known, with its number and its settings: joined on the control thread, in one step for a whole
// list, and handed to the workers whole. What a worker does for it does not grow with the number of names.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/settings.h"
#include "ledger/ledger.h"
#include "observe/log.h"
#include "observe/meters.h"
#include "proxy/worker.h"
#include "server/workers.h"
#include "tunnel/registry.h"
#include "upstream/catalog.h"

namespace sluice::server {

// Dense numbers for the ledger's arrays.
// Thread: control thread.
class ModelNumbers final {
 public:
  // Of a model that has limits, a price or a budget: its own for the life of the process.
  [[nodiscard]] std::uint32_t keep(const std::string& model);
  // Of models that were learned: theirs until a call that leaves them out, then another's. The ledger has no counters
  // for them. In the order of `models`.
  [[nodiscard]] std::vector<std::uint32_t> lend(const std::vector<std::string>& models);
  [[nodiscard]] std::vector<std::string> kept() const;
  // Numbers that were ever given.
  [[nodiscard]] std::uint32_t given() const noexcept { return next_; }

 private:
  struct Number {
    std::uint32_t number = 0;
    bool kept = false;
    std::uint64_t round = 0;
  };
  [[nodiscard]] std::uint32_t fresh();

  std::map<std::string, Number> numbers_;
  std::deque<std::uint32_t> returned_;  // the one that has rested longest first
  std::uint32_t next_ = 0;
  std::uint64_t round_ = 0;
};

// Tells the ledger what the conf says of models. Counters of models that left the conf stay, unlimited.
void apply_models(const config::Settings& settings, ModelNumbers& numbers, ledger::Ledger& ledger);

// Thread:   control thread.
// Lifetime: loop, workers, meters and log outlive it; it outlives the registry and the workers' threads.
class ModelBook final : public tunnel::AgentListener {
 public:
  ModelBook(net::Loop& control, Workers& workers, observe::Meters& meters, observe::Log& log) noexcept
      : control_(control), workers_(workers), meters_(meters), log_(log) {}

  // What the conf says, at start and at each reload; publishes.
  void configure(const config::Settings& settings, std::shared_ptr<const policy::Chain> chain);
  [[nodiscard]] ModelNumbers& numbers() noexcept { return numbers_; }
  // The workers' places of direct upstreams stand under this number.
  [[nodiscard]] std::uint32_t number_of_upstream(const std::string& name) { return catalog_.number_of(name); }
  // What a direct upstream has told; nothing: it could not be asked.
  void listed(const std::string& upstream, std::optional<upstream::ModelList> list);

  void offered(const tunnel::AgentPtr& agent, const std::vector<tunnel::AgentModelPtr>& models) noexcept override;
  void withdrawn(const tunnel::AgentPtr& agent) noexcept override;
  void remembered(const std::map<std::string, tunnel::Remembered>& by_agent) noexcept override;
  // For the places of agents. REQUIRED before the first offer.
  void set_registry(tunnel::Registry& registry) noexcept { registry_ = &registry; }

  // Places that are ejected now, each counted for each of its models.
  [[nodiscard]] std::size_t ejected() const { return catalog_.ejected(Mono::now()); }

  // Posts what is known to every worker.
  void publish();

 private:
  using Settings = NameMap<proxy::ModelSettings>;

  void add_aliases(const config::Settings& settings, std::set<std::string>& names,
                   std::map<std::string, std::string>& aliases);
  void note_left_out(const std::string& upstream, std::size_t left_out, std::size_t listed);
  void publish_later();
  void log_ignored(std::size_t ignored);

  net::Loop& control_;
  Workers& workers_;
  observe::Meters& meters_;
  observe::Log& log_;
  tunnel::Registry* registry_ = nullptr;
  upstream::Catalog catalog_;
  ModelNumbers numbers_;
  std::shared_ptr<const proxy::Conf> conf_;  // without its models
  Settings configured_;
  std::set<std::string> upstreams_;
  std::map<std::string, std::size_t> left_out_;  // of each upstream's last list
  std::size_t models_per_source_ = 1'000;
  std::uint64_t max_output_ = 32'768;
  std::size_t ignored_ = 0;
  bool due_ = false;
};

}  // namespace sluice::server
