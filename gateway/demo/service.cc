#include "demo/service.h"

#include <algorithm>
#include <chrono>

#include "demo/words.h"

namespace sluice::demo {
namespace {

constexpr std::string_view kFaultMark = ":fault=";

std::vector<std::string> listed(const DemoOptions& options) {
  std::vector<std::string> models = options.models;
  if (!options.list_faults) return models;
  for (const std::string& model : options.models) {
    for (const FaultRow& row : fault_rows()) models.push_back(model + std::string(kFaultMark) + std::string(row.name));
  }
  return models;
}

}  // namespace

Service::Service(DemoOptions options)
    : options_(std::move(options)),
      models_(listed(options_)),
      stats_(options_.record),
      ids_(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())) {
  (void)faults_.add(options_.faults);
}

bool Service::knows(std::string_view model) const noexcept {
  const auto is_listed = [&](std::string_view name) {
    return std::find(models_.begin(), models_.end(), name) != models_.end();
  };
  return is_listed(model) || is_listed(model.substr(0, model.find(kFaultMark)));
}

std::string_view fault_suffix(std::string_view model) noexcept {
  const std::size_t at = model.find(kFaultMark);
  return at == std::string_view::npos ? std::string_view() : model.substr(at + kFaultMark.size());
}

std::string model_object(std::string_view name) {
  std::string text = "{\"id\":\"";
  append_escaped(text, name);
  return text + "\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"demo\"}";
}

std::string model_list(const Service& service) {
  std::string text = "{\"object\":\"list\",\"data\":[";
  for (const std::string& model : service.models()) text += (text.ends_with('[') ? "" : ",") + model_object(model);
  return text + "]}";
}

std::string error_object(std::string_view message, std::string_view type, std::string_view code) {
  std::string text = "{\"error\":{\"message\":\"";
  append_escaped(text, message);
  text.append("\",\"type\":\"").append(type).append("\",\"param\":null,\"code\":");
  text += code.empty() ? std::string("null") : "\"" + std::string(code) + "\"";
  return text + "}}";
}

}  // namespace sluice::demo
