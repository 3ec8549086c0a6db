#include "cli/invocation.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/wiped_string.h"
#include "cli/client.h"
#include "cli/table.h"

namespace sluice::cli {
namespace {

// One row for each place that serves a model.
json::array rows_of_models(const json::array& models) {
  json::array rows;
  for (const json::value& one : models) {
    const json::object* model = one.if_object();
    if (model == nullptr) continue;
    const std::string name(text_of(*model, "name"));
    const json::array* places = array_of(*model, "places");
    const json::value* queue = model->if_contains("queue");
    const json::value* calls =
        queue != nullptr && queue->is_object() ? queue->get_object().if_contains("waiting") : nullptr;
    const json::value waiting = calls != nullptr ? *calls : json::value();
    if (places == nullptr || places->empty())
      rows.push_back(json::object{{"model", name}, {"state", text_of(*model, "state")}, {"waiting", waiting}});
    for (std::size_t i = 0; places != nullptr && i < places->size(); ++i) {
      json::object row{{"model", name}, {"waiting", waiting}};
      if (const json::object* place = (*places)[i].if_object()) {
        for (const auto& member : *place) row.insert(member);
        row["place"] = text_of(*place, "name");
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

// What standard input holds, without line ends at its end; of a terminal one line. More than the gateway takes is cut.
WipedString read_secret(bool one_line) {
  constexpr std::size_t kMostBytes = 64 * 1024;
  WipedString value;
  char c = 0;
  while (value.size() < kMostBytes && ::read(STDIN_FILENO, &c, 1) == 1 && !(one_line && c == '\n')) value += c;
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  return value;
}

}  // namespace

void Invocation::fail(std::string_view message) {
  std::fprintf(stderr, "sluice: %.*s\n", static_cast<int>(message.size()), message.data());
  exit_code_ = 1;
}

void Invocation::misused(std::string_view message) {
  fail(std::string(message) + "; see: sluice help");
  exit_code_ = 2;
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
  const auto answer = call_admin(*at, method, target, body, std::chrono::seconds(o.timeout_s));
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
  const auto answer = call_admin(*at, "GET", target, nullptr, std::chrono::seconds(o.timeout_s),
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
    if (*text == "none")
      limits[name] = nullptr;
    else
      limits[name] = std::strtoll(text->c_str(), nullptr, 10);
  }
  return limits;
}

json::object Invocation::with_terms(json::object body) const {
  if (json::object own = limits(); !own.empty()) body["limits"] = std::move(own);
  if (!o.budgets.empty()) body["budgets"] = json::array(o.budgets.begin(), o.budgets.end());
  return body;
}

void Invocation::reload() {
  const auto value = ask("POST", "/reload");
  if (!value) return;
  show(*value);
  const json::object* object = value->if_object();
  const json::value* waiting = object == nullptr ? nullptr : object->if_contains("restart_needed");
  if (!o.json && waiting != nullptr && waiting->is_array() && !waiting->as_array().empty())
    std::puts("\nEverything else is applied; what stands under restart_needed is when the gateway is started again.");
}

void Invocation::create_key() {
  json::object body{{"tenant", o.tenant}, {"user", o.user}};
  if (o.create) body["create"] = true;
  if (o.new_name) body["name"] = *o.new_name;
  if (!o.models.empty()) body["models"] = json::array(o.models.begin(), o.models.end());
  if (!o.expires.empty()) body["expires"] = o.expires;
  call("POST", "/keys", with_terms(std::move(body)));
}

void Invocation::update_key() {
  json::object body;
  if (json::object own = limits(); !own.empty()) body["limits"] = std::move(own);
  if (o.new_name) body["name"] = *o.new_name;
  if (!o.expires.empty()) body["expires"] = o.expires;
  if (!o.models.empty() || o.any_model) body["models"] = json::array(o.models.begin(), o.models.end());
  if (o.suspend || o.resume) body["suspended"] = o.suspend;
  if (!body.empty()) return call("PATCH", "/keys/" + url_encode(o.name), body);
  misused(
      "say what to change: --name, --suspend, --resume, --expires, --model, --any-model, --rpm, --tpm or "
      "--concurrency");
}

// All pages; with --json as one list.
void Invocation::list_keys() {
  json::array all;
  std::string after;
  do {
    const auto page = ask("GET", "/keys" + query({{"tenant", o.tenant}, {"user", o.user}, {"after", after}}));
    if (!page) return;
    const json::object* object = page->if_object();
    const json::array* keys = object == nullptr ? nullptr : array_of(*object, "keys");
    if (keys == nullptr) return fail("what answers is not a sluice gateway of this version; see: sluice --version");
    for (const json::value& key : *keys) all.push_back(key);
    after = std::string(text_of(*object, "next"));
  } while (!after.empty());
  static constexpr std::array<std::string_view, 10> kColumns{"id",   "name",   "state",   "hint",   "tenant",
                                                             "user", "models", "expires", "limits", "budgets"};
  show(all, kColumns);
}

void Invocation::list_models() {
  const auto models = ask("GET", "/models");
  if (!models) return;
  static constexpr std::array<std::string_view, 7> kColumns{"model", "place",      "kind",   "state",
                                                            "slots", "free_slots", "waiting"};
  const json::array* all = models->if_array();
  if (o.json || all == nullptr) return show(*models);
  show(rows_of_models(*all), kColumns);
}

void Invocation::create_pairing_key() {
  if (o.any_model == !o.models.empty())
    return misused(
        "say what the agent may serve: --model M, once for each model, or --any-model for whatever it offers");
  json::object body;
  if (!o.models.empty()) body["models"] = json::array(o.models.begin(), o.models.end());
  if (o.any_model) body["any_model"] = true;
  if (!o.tenants.empty()) body["tenants"] = json::array(o.tenants.begin(), o.tenants.end());
  const auto value = ask("POST", "/pairings", &body);
  if (!value) return;
  show(*value);
  if (!o.json)
    std::printf(
        "\nOn the agent's machine:\n  SLUICE_PAIRING_KEY=%s sluice agent pair --gateway https://THIS_GATEWAY:PORT "
        "--dir "
        "DIR\n",
        std::string(value->is_object() ? text_of(value->get_object(), "key") : "KEY").c_str());
}

void Invocation::set_secret() {
  const bool typed = ::isatty(STDIN_FILENO) != 0;
  termios before{};
  if (typed && ::tcgetattr(STDIN_FILENO, &before) == 0) {
    std::fputs("The value, and Enter (it is not shown): ", stderr);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  WipedString value = read_secret(typed);
  if (typed) {
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputs("\n", stderr);
  }
  if (value.empty()) return fail("standard input holds no value; give it there: sluice secret set NAME < FILE");
  json::object body(wiping_storage());
  body["value"] = json::string_view(value.data(), value.size());
  call("PUT", "/secrets/" + url_encode(o.name), body);
}

void Invocation::change_budget(const std::string& method) {
  if (o.budget.empty()) return misused("say which budget: tokens:N/month, usd:X/day, …/total");
  if (o.key.empty() && o.tenant.empty() && o.user.empty())
    return misused("say whose budget: --key ID, --tenant T --user U (with --model M: on that model), or --tenant T");
  if (!o.model_one.empty() && (o.user.empty() || !o.key.empty()))
    return misused("--model goes with --user; budgets of a model stand in the conf file: [[model]] budgets");
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

}  // namespace sluice::cli
