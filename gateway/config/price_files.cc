#include "config/price_files.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/text.h"

namespace sluice::config {
namespace {

class PriceFiles final {
 public:
  PriceFiles(Settings& settings, const NamedFiles& files, Findings& findings) noexcept
      : s_(settings), files_(files), findings_(findings) {}

  void read_price_file() {
    if (const auto listed = price_file_of("prices.file", s_.prices.file)) take_prices(*listed);
  }

  void read_cost_files() {
    for (std::size_t i = 0; i < s_.upstreams.size(); ++i) {
      Upstream& upstream = s_.upstreams[i];
      const std::string at = cat("upstream[", i, "].cost_");
      upstream.cost_known = is_given(at);
      const auto listed = price_file_of(at + "file", upstream.cost_file);
      if (!listed) continue;
      for (const Model& model : *listed) upstream.costs.push_back({model.name, model.price});
    }
  }

 private:
  // What a price file says; nothing: there is none, or nothing to be had of it.
  std::optional<std::vector<Model>> price_file_of(const std::string& at, const std::string& path) {
    if (path.empty() || files_.are_trusted()) return std::nullopt;
    const absl::StatusOr<std::string> text = read_file(path);
    if (!text.ok()) {
      findings_.add(at, cat("cannot read ", path, ": ", std::string(text.status().message()),
                            "; name a price file that the gateway's user may read"));
      return std::nullopt;
    }
    Findings inside(path);
    std::vector<Model> listed;
    (void)read_prices(*text, path, listed, inside);
    findings_.append(inside.take());
    return listed;
  }

  // A model without a price of its own costs what the file says of the name that its upstream has for it.
  void take_prices(const std::vector<Model>& listed) {
    std::map<std::string_view, const Price*> prices;
    for (const Model& model : listed) prices.emplace(model.name, &model.price);
    std::set<std::string_view> named;
    for (std::size_t i = 0; i < s_.models.size(); ++i) {
      Model& model = s_.models[i];
      named.insert(model.name);
      const auto found = prices.find(model.upstream_name.empty() ? model.name : model.upstream_name);
      if (found != prices.end() && !is_given(cat("model[", i, "].price_"))) model.price = *found->second;
    }
    const auto add = [&](std::string_view name, const Price& price) {
      if (!named.insert(name).second) return;
      s_.prices.models.emplace_back();
      s_.prices.models.back().name = name;
      s_.prices.models.back().price = price;
    };
    for (const Upstream& upstream : s_.upstreams) {
      for (const std::string_view model : upstream.models) {
        const std::size_t equals = model.find('=');
        if (equals == std::string_view::npos) continue;
        if (const auto found = prices.find(model.substr(equals + 1)); found != prices.end())
          add(model.substr(0, equals), *found->second);
      }
    }
    for (const Model& model : listed) add(model.name, model.price);
  }

  // Whether the file has a key that begins so.
  [[nodiscard]] bool is_given(const std::string& begins) const {
    const auto at = findings_.positions().lower_bound(begins);
    return at != findings_.positions().end() && at->first.starts_with(begins);
  }

  Settings& s_;
  const NamedFiles& files_;
  Findings& findings_;
};

}  // namespace

void take_price_files(Settings& settings, const NamedFiles& files, Findings& findings) {
  PriceFiles prices(settings, files, findings);
  prices.read_price_file();
  prices.read_cost_files();
}

}  // namespace sluice::config
