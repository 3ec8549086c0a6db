#include "server/model_book.h"

#include "base/background.h"
#include "server/conf.h"
#include "upstream/agent_place.h"

namespace sluice::server {
namespace {

// Whoever drops it last, it is taken apart on the control thread: ten thousand names are a millisecond's work.
template <class T>
std::shared_ptr<const T> dropped_on(net::Loop& loop, std::unique_ptr<T> object) {
  return {object.release(), [&loop](const T* last) { loop.post([own = std::unique_ptr<const T>(last)] {}); }};
}

}  // namespace

std::uint32_t ModelNumbers::fresh() { return next_++; }

std::uint32_t ModelNumbers::keep(const std::string& model) {
  const auto [at, added] = numbers_.try_emplace(model);
  if (added) at->second.number = fresh();
  at->second.kept = true;
  return at->second.number;
}

std::vector<std::uint32_t> ModelNumbers::lend(const std::vector<std::string>& models) {
  ++round_;
  std::vector<std::uint32_t> lent;
  lent.reserve(models.size());
  for (const std::string& model : models) {
    const auto [at, added] = numbers_.try_emplace(model);
    if (added && !returned_.empty()) {
      at->second.number = returned_.front();
      returned_.pop_front();
    } else if (added) {
      at->second.number = fresh();
    }
    at->second.round = round_;
    lent.push_back(at->second.number);
    give_way();
  }
  std::erase_if(numbers_, [this](const auto& entry) {
    const bool gone = !entry.second.kept && entry.second.round != round_;
    if (gone) returned_.push_back(entry.second.number);
    return gone;
  });
  return lent;
}

std::vector<std::string> ModelNumbers::kept() const {
  std::vector<std::string> names;
  for (const auto& [name, number] : numbers_) {
    if (number.kept) names.push_back(name);
  }
  return names;
}

void apply_models(const config::Settings& settings, ModelNumbers& numbers, ledger::Ledger& ledger) {
  std::set<std::string> named;
  for (const config::Model& model : settings.models) {
    named.insert(model.name);
    ledger.set_model(
        numbers.keep(model.name), model.name,
        {.limits = model.limits, .budgets = model.budgets, .user_budgets = model.user_budgets, .price = model.price});
  }
  for (const config::Model& model : settings.prices.models) {
    named.insert(model.name);
    ledger.set_model(numbers.keep(model.name), model.name,
                     {.limits = {}, .budgets = {}, .user_budgets = {}, .price = model.price});
  }
  for (const std::string& name : numbers.kept()) {
    if (!named.contains(name)) ledger.set_model(numbers.keep(name), name, {});
  }
}

void ModelBook::configure(const config::Settings& settings, std::shared_ptr<const policy::Chain> chain) {
  conf_ = std::make_shared<const proxy::Conf>(make_worker_conf(settings, std::move(chain)));
  max_output_ = settings.ledger.default_max_output;
  models_per_source_ = settings.route.models_per_source;
  catalog_.set_most_learned(settings.route.learned_models);
  std::set<std::string> names;
  std::map<std::string, std::string> aliases;
  configured_.clear();
  for (const config::Model& model : settings.models) {
    names.insert(model.name);
    if (!model.upstream_name.empty() && model.upstream_name != model.name) aliases[model.name] = model.upstream_name;
    configured_.emplace(model.name, proxy::ModelSettings{.index = numbers_.keep(model.name),
                                                         .max_output = model.max_output,
                                                         .upstream_name = model.upstream_name,
                                                         .times = {.head = model.head_time,
                                                                   .gap = model.stream_gap,
                                                                   .first_token = model.first_token_time,
                                                                   .total = model.total_time},
                                                         .meters = meters_.add_model(model.name)});
  }
  add_aliases(settings, names, aliases);
  catalog_.set_configured(std::move(names), std::move(aliases));
  catalog_.set_routes(make_routes(settings));
  std::set<std::string> upstreams;
  for (const config::Upstream& upstream : settings.upstreams) upstreams.insert(upstream.name);
  for (const std::string& name : upstreams_) {
    if (!upstreams.contains(name)) catalog_.drop_upstream(name);
  }
  upstreams_ = std::move(upstreams);
  for (const std::string& name : upstreams_) catalog_.expect(name);
  publish();
}

// A name that [[routes]] give to another model: priced, limited and charged as that one, unless it has a [[model]] of its
// own.
void ModelBook::add_aliases(const config::Settings& settings, std::set<std::string>& names,
                            std::map<std::string, std::string>& aliases) {
  for (const config::RouteRule& rule : settings.routes) {
    if (rule.alias.empty() || rule.model.find('*') != std::string::npos) continue;
    const std::string target = upstream_name_of(settings, rule.alias);
    names.insert(rule.model);
    aliases[rule.model] = target;
    const auto known = configured_.find(rule.alias);
    proxy::ModelSettings as = known != configured_.end() ? known->second
                                                         : proxy::ModelSettings{.index = numbers_.keep(rule.alias),
                                                                                .max_output = max_output_,
                                                                                .upstream_name = {},
                                                                                .times = proxy::kPlacesTimes,
                                                                                .meters = {}};
    const auto own = configured_.find(rule.model);
    if (own != configured_.end()) as = own->second;
    as.upstream_name = target;
    configured_.insert_or_assign(rule.model, std::move(as));
  }
}

void ModelBook::listed(const std::string& upstream, std::optional<upstream::ModelList> list) {
  if (!upstreams_.contains(upstream)) return;  // it left the conf meanwhile
  if (list) {
    if (list->names.size() > models_per_source_) {
      list->left_out += list->names.size() - models_per_source_;
      list->names.resize(models_per_source_);
    }
    note_left_out(upstream, list->left_out, list->names.size());
    catalog_.list(upstream, std::move(list->names));
  } else {
    catalog_.told_nothing(upstream);
  }
  publish_later();
}

void ModelBook::note_left_out(const std::string& upstream, std::size_t left_out, std::size_t listed) {
  if (std::exchange(left_out_[upstream], left_out) == left_out || left_out == 0) return;
  log_.warn("entries of an upstream's /v1/models have no usable id, or are beyond route.models_per_source: left out",
            {{"upstream", upstream}, {"left_out", left_out}, {"listed", listed}});
}

void ModelBook::offered(const tunnel::AgentPtr& agent, const std::vector<tunnel::AgentModelPtr>& models) noexcept {
  std::vector<upstream::Catalog::Offer> offers;
  offers.reserve(models.size());
  for (const tunnel::AgentModelPtr& model : models) {
    offers.emplace_back(model->name(), std::make_shared<upstream::AgentPlace>(*registry_, agent, model));
    give_way();
  }
  catalog_.offer(agent->id(), std::move(offers), agent->binding().tenants);
  publish_later();
}

void ModelBook::withdrawn(const tunnel::AgentPtr& agent) noexcept {
  catalog_.drop_agent(agent->id());
  publish_later();
}

void ModelBook::remembered(const std::map<std::string, tunnel::Remembered>& by_agent) noexcept {
  std::vector<upstream::Catalog::LastServed> all;
  all.reserve(by_agent.size());
  for (const auto& [agent, remembered] : by_agent) all.push_back({remembered.models, remembered.tenants});
  catalog_.set_remembered(std::move(all));
  publish_later();
}

// One publication for all that changes in a turn.
void ModelBook::publish_later() {
  if (std::exchange(due_, true)) return;
  control_.post([this] {
    if (due_ && conf_) publish();
  });
}

void ModelBook::publish() {
  due_ = false;
  upstream::Catalog::Joined joined = catalog_.join();
  const std::vector<std::uint32_t> numbers = numbers_.lend(joined.learned);
  auto settings = std::make_unique<Settings>(configured_);
  for (std::size_t i = 0; i < joined.learned.size(); ++i) {
    settings->emplace(std::move(joined.learned[i]), proxy::ModelSettings{.index = numbers[i],
                                                                         .max_output = max_output_,
                                                                         .upstream_name = {},
                                                                         .times = proxy::kPlacesTimes,
                                                                         .meters = {}});
    give_way();
  }
  log_ignored(joined.ignored);
  const auto models = dropped_on(control_, std::move(joined.models));
  workers_.post_all([conf = conf_, settings = dropped_on(control_, std::move(settings)), models](WorkerThread& worker) {
    auto own = std::make_shared<proxy::Conf>(*conf);  // a copy for each: calls count their holds of it
    own->models = settings;
    worker.set_models(std::move(own), models);
  });
}

void ModelBook::log_ignored(std::size_t ignored) {
  if (ignored != 0 && ignored_ == 0)
    log_.warn("more models than route.learned_models; the rest is ignored", {{"ignored", ignored}});
  ignored_ = ignored;
}

}  // namespace sluice::server
