#include "upstream/catalog.h"

namespace sluice::upstream {

void Catalog::expect(const std::string& source) {
  if (!offers_.contains(source)) expected_.insert(source);
  publish();
}

void Catalog::told_nothing(const std::string& source) {
  if (expected_.erase(source) != 0) publish();
}

void Catalog::offer(const std::string& source, std::vector<Offer> offers) {
  offers_[source] = std::move(offers);
  expected_.erase(source);
  publish();
}

void Catalog::withdraw(const std::string& source) {
  offers_.erase(source);
  expected_.erase(source);
  publish();
}

void Catalog::set_configured(std::set<std::string> models, std::map<std::string, std::string> aliases) {
  configured_ = std::move(models);
  aliases_ = std::move(aliases);
  publish();
}

void Catalog::set_remembered(std::set<std::string> models) {
  remembered_ = std::move(models);
  publish();
}

void Catalog::publish() {
  std::map<std::string, std::vector<std::shared_ptr<Place>>> served;
  for (const std::string& model : configured_) served.try_emplace(model);
  for (const std::string& model : remembered_) served.try_emplace(model);
  for (const auto& [source, offers] : offers_) {
    for (const auto& [model, place] : offers) served[model].push_back(place);
  }
  for (const auto& [name, upstream_name] : aliases_) {
    const auto places = served.find(upstream_name);
    served[name] = places == served.end() ? std::vector<std::shared_ptr<Place>>{} : places->second;
  }
  // All of them each time: a conf that was replaced meanwhile has forgotten the ones that only agents know.
  for (const auto& [model, places] : served) learned_(model);
  pool_.replace(std::move(served), !expected_.empty());
}

}  // namespace sluice::upstream
