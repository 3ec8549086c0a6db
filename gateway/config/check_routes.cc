#include "config/check_routes.h"

#include <algorithm>
#include <string>
#include <vector>

#include "config/reader.h"
#include "config/retry_unsafe.h"
#include "config/route_text.h"
#include "config/text.h"

namespace sluice::config {
namespace {

class RouteChecker final {
 public:
  RouteChecker(const Settings& settings, Findings& findings) : s_(settings), findings_(findings) {
    for (const Upstream& upstream : s_.upstreams) {
      upstreams_.push_back(upstream.name);
      tags_.insert(tags_.end(), upstream.tags.begin(), upstream.tags.end());
      for (const std::string_view model : upstream.models) models_.push_back(model.substr(0, model.find('=')));
    }
    for (const Model& model : s_.models) models_.push_back(model.name);
    for (const RouteRule& rule : s_.routes) {
      if (!rule.alias.empty()) models_.push_back(rule.model);
    }
  }

  void run() {
    check_unsafe();
    for (std::size_t i = 0; i < s_.routes.size(); ++i) check_rule(cat("routes[", i, "]"), s_.routes[i]);
  }

 private:
  void check_unsafe() {
    for (std::size_t i = 0; i < s_.route.retry_unsafe.size(); ++i) {
      const std::string& name = s_.route.retry_unsafe[i];
      const std::string at = cat("route.retry_unsafe[", i, "]");
      if (std::ranges::find(kRetryUnsafe, name) == kRetryUnsafe.end()) {
        findings_.add(at, cat("\"", name, "\" is none of ", join(kRetryUnsafe, ", ")));
      } else {
        findings_.add(at,
                      cat("behind ", name,
                          " a model may have generated an answer already: a call that is sent again is "
                          "charged for each attempt, and what it does may be done twice"),
                      Severity::kWarning);
      }
    }
  }

  void check_rule(const std::string& at, const RouteRule& rule) {
    if (std::ranges::count(rule.model, '*') > 1)
      findings_.add(at + ".model", cat("\"", rule.model, "\" has more than one *; one stands for any text"));
    for (std::size_t i = 0; i < rule.places.size(); ++i) check_rank(cat(at, ".places[", i, "]"), rule.places[i]);
    if (!rule.alias.empty()) check_alias(at, rule);
    for (std::size_t i = 0; i < rule.fallback.size(); ++i) {
      const std::string where = cat(at, ".fallback[", i, "]");
      if (rule.fallback[i] == rule.model)
        findings_.add(where, cat("model ", rule.fallback[i], " falls back to itself; name another"));
      else
        check_model(where, rule.fallback[i]);
    }
  }

  void check_alias(const std::string& at, const RouteRule& rule) {
    if (!rule.tenants.empty())
      findings_.add(at + ".tenants",
                    "an alias is the same for every tenant; leave tenants out, or give places to the model");
    if (rule.alias == rule.model) return findings_.add(at + ".alias", "a model that stands for itself is no alias");
    const auto own = std::ranges::find(s_.models, rule.model, &Model::name);
    if (own != s_.models.end() && !own->upstream_name.empty())
      findings_.add(at + ".alias",
                    cat("model ", rule.model, " has an upstream_name in its [[model]]; give it one of both"));
    const bool chained = std::ranges::any_of(
        s_.routes, [&](const RouteRule& other) { return !other.alias.empty() && other.model == rule.alias; });
    if (chained)
      findings_.add(at + ".alias", cat(rule.alias, " is an alias itself; name the model that it stands for"));
    check_model(at + ".alias", rule.alias);
  }

  void check_rank(const std::string& at, const std::string& text) {
    const auto options = parse_rank(text);
    if (!options.ok()) return findings_.add(at, std::string(options.status().message()));
    for (const RouteOption& option : *options) {
      if (option.kind == RouteOption::Kind::kUpstream) check_name(at, "upstream", option.name, upstreams_);
      if (option.kind == RouteOption::Kind::kTag) check_name(at, "tag", option.name, tags_);
    }
  }

  void check_name(const std::string& at, std::string_view what, const std::string& name,
                  const std::vector<std::string_view>& known) {
    if (std::ranges::find(known, name) != known.end()) return;
    const std::string_view near = nearest(name, known);
    const std::string_view advice =
        what == "upstream" ? "; an agent is agent:NAME" : "; tags stand in [[upstream]] tags";
    findings_.add(at, near.empty() ? cat("there is no ", what, " ", name, advice)
                                   : cat("there is no ", what, " ", name, "; did you mean ", near, "?"));
  }

  // What agents and upstreams list, nobody knows here.
  void check_model(const std::string& at, const std::string& name) {
    if (std::ranges::find(models_, name) != models_.end()) return;
    findings_.add(at,
                  cat("no [[model]] and no [[upstream]] names the model ", name,
                      "; until something lists it, no call can go there"),
                  Severity::kWarning);
  }

  const Settings& s_;
  Findings& findings_;
  std::vector<std::string_view> upstreams_, tags_, models_;
};

}  // namespace

void check_routes(const Settings& settings, Findings& findings) { RouteChecker(settings, findings).run(); }

}  // namespace sluice::config
