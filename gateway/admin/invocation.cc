#include "admin/invocation.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "admin/client.h"
#include "admin/table.h"

namespace sluice::admin {

void Invocation::fail(std::string_view message) {
  std::fprintf(stderr, "sluice: %.*s\n", static_cast<int>(message.size()), message.data());
  exit_code_ = 1;
}

std::optional<FoundSocket> Invocation::socket() {
  auto found = find_socket(o.where);
  if (found.ok()) return *std::move(found);
  fail({found.status().message().data(), found.status().message().size()});
  return std::nullopt;
}

std::optional<json::value> Invocation::ask(const std::string& method, const std::string& target,
                                           const json::object* body) {
  const auto at = socket();
  if (!at) return std::nullopt;
  const auto answer = call_admin(*at, method, target, body);
  if (!answer.ok()) {
    fail({answer.status().message().data(), answer.status().message().size()});
    return std::nullopt;
  }
  boost::system::error_code error;
  json::value value = json::parse(answer->body, error);
  if (error) {
    fail("what answers on " + at->path + " is not a sluice gateway");
    return std::nullopt;
  }
  if (answer->status == 200) return value;
  const json::object* object = value.if_object();
  fail(object == nullptr ? std::string_view("the gateway refused") : text_of(*object, "error", "the gateway refused"));
  return std::nullopt;
}

void Invocation::show(const json::value& value, std::span<const std::string_view> columns) {
  const std::string text = o.json ? json::serialize(value) + "\n" : as_table(value, columns);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Invocation::call(const std::string& method, const std::string& target) {
  if (const auto value = ask(method, target)) show(*value);
}
void Invocation::call(const std::string& method, const std::string& target, const json::object& body) {
  if (const auto value = ask(method, target, &body)) show(*value);
}

void Invocation::list(const std::string& target, std::initializer_list<std::string_view> columns) {
  if (const auto value = ask("GET", target)) show(*value, columns);
}

void Invocation::stream(const std::string& target) {
  const auto at = socket();
  if (!at) return;
  const auto answer = call_admin(*at, "GET", target, nullptr,
                                 [](std::string_view part) { std::fwrite(part.data(), 1, part.size(), stdout); });
  std::fflush(stdout);
  if (!answer.ok()) return fail({answer.status().message().data(), answer.status().message().size()});
  if (answer->status == 200) return;
  const auto object = parse_object(answer->body, 64 * 1024);
  fail(object ? text_of(*object, "error", "the gateway refused") : std::string_view("the gateway refused"));
}

std::string Invocation::query(const std::vector<std::pair<std::string, std::string>>& parts) {
  std::string text;
  for (const auto& [name, value] : parts)
    if (!value.empty()) text += (text.empty() ? "?" : "&") + name + "=" + url_encode(value);
  return text;
}

json::object Invocation::limits() const {
  json::object limits;
  for (const auto& [name, text] :
       {std::pair("rpm", &o.rpm), std::pair("tpm", &o.tpm), std::pair("concurrency", &o.concurrency)}) {
    if (text->empty()) continue;
    char* end = nullptr;
    const long long number = std::strtoll(text->c_str(), &end, 10);
    if (*text == "none")
      limits[name] = nullptr;
    else if (*end == '\0')
      limits[name] = number;
    else
      limits[name] = *text;
  }
  return limits;
}

json::object Invocation::with_terms(json::object body) const {
  if (json::object own = limits(); !own.empty()) body["limits"] = std::move(own);
  if (!o.budgets.empty()) body["budgets"] = json::array(o.budgets.begin(), o.budgets.end());
  return body;
}

void Invocation::create_key() {
  json::object body{{"tenant", o.tenant}, {"user", o.user}};
  if (o.create) body["create"] = true;
  if (!o.models.empty()) body["models"] = json::array(o.models.begin(), o.models.end());
  if (!o.expires.empty()) body["expires"] = o.expires;
  call("POST", "/keys", with_terms(std::move(body)));
}

// All pages; with --json as one list.
void Invocation::list_keys() {
  json::array all;
  std::string after;
  do {
    const auto page = ask("GET", "/keys" + query({{"tenant", o.tenant}, {"user", o.user}, {"after", after}}));
    if (!page) return;
    for (const json::value& key : page->as_object().at("keys").as_array()) all.push_back(key);
    after = std::string(text_of(page->as_object(), "next"));
  } while (!after.empty());
  show(all);
}

// For people one row for each place that serves a model.
void Invocation::list_models() {
  const auto models = ask("GET", "/models");
  if (!models) return;
  if (o.json) return show(*models);
  json::array rows;
  for (const json::value& model : models->as_array()) {
    const json::string& name = model.at("name").as_string();
    const json::value* places = model.as_object().if_contains("places");
    if (places == nullptr || places->as_array().empty()) {
      rows.push_back(json::object{{"model", name}, {"state", model.at("state")}});
      continue;
    }
    for (const json::value& place : places->as_array())
      rows.push_back(json::object{{"model", name},
                                  {"place", place.at("name")},
                                  {"kind", place.at("kind")},
                                  {"state", place.at("state")},
                                  {"slots", place.at("slots")},
                                  {"free_slots", place.at("free_slots")}});
  }
  static constexpr std::array<std::string_view, 6> kColumns{"model", "place", "kind", "state", "slots", "free_slots"};
  show(rows, kColumns);
}

void Invocation::create_pairing_key() {
  const auto value = ask("POST", "/pairings");
  if (!value) return;
  show(*value);
  if (!o.json)
    std::printf(
        "\nOn the agent's machine:\n  sluice agent pair --gateway https://THIS_GATEWAY:PORT --pairing-key %s --dir "
        "DIR\n",
        std::string(text_of(value->as_object(), "key")).c_str());
}

void Invocation::change_budget(const std::string& method) {
  json::object body{{"budget", o.budget}};
  for (const auto& [name, text] : {std::pair("key", &o.key), std::pair("tenant", &o.tenant), std::pair("user", &o.user),
                                   std::pair("model", &o.model_one)})
    if (!text->empty()) body[name] = *text;
  call(method, "/budgets", body);
}

void Invocation::backup() {
  std::error_code none;
  const std::filesystem::path file = std::filesystem::absolute(o.name, none);
  call("POST", "/backup", json::object{{"file", file.string()}});
}

}  // namespace sluice::admin
