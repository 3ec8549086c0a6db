#include "admin/command.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admin/client.h"
#include "admin/table.h"

namespace sluice::admin {
namespace {

constexpr const char* kDefaultSocket = "/run/sluice/admin.sock";

// What all these commands share, and the options of the one that runs. CLI11 fills them in; one lives for each program.
struct Options {
  std::string socket = kDefaultSocket;
  bool json = false;
  std::string name, tenant, user, key, model_one, expires, budget, format, from, to, after;
  std::vector<std::string> models, budgets;
  std::string rpm, tpm, concurrency;
  bool create = false;
};

class Commands final {
 public:
  Commands(CLI::App& app, int& exit_code) : app_(app), exit_code_(exit_code), o_(std::make_shared<Options>()) {}

  void add() {
    add_tenant_and_user();
    add_key();
    add_budget();
    add_agents();
    add_operations();
    add_audit();
  }

 private:
  using Run = void (Commands::*)();

  CLI::App& group(const std::string& name, const std::string& help) {
    for (CLI::App* there : app_.get_subcommands([&](CLI::App* one) { return one->get_name() == name; })) return *there;
    return *app_.add_subcommand(name, help)->require_subcommand(1);
  }

  // A command that runs `action` with a copy of this object, which holds the options.
  template <class Action>
  CLI::App& command(CLI::App& parent, const std::string& name, const std::string& help, Action action) {
    CLI::App* made = parent.add_subcommand(name, help);
    made->add_option("--socket", o_->socket, "the gateway's admin socket")
        ->envname("SLUICE_SOCKET")
        ->capture_default_str();
    made->add_flag("--json", o_->json, "print JSON");
    made->callback([self = *this, action]() mutable { action(self); });
    return *made;
  }

  void add_tenant_and_user() {
    CLI::App& tenant = group("tenant", "Tenants: who pays");
    CLI::App& create = command(tenant, "create", "Create a tenant", [](Commands& c) {
      c.call("POST", "/tenants", c.with_terms({{"name", c.o_->name}}));
    });
    create.add_option("name", o_->name, "its name")->required();
    add_terms(create);
    command(tenant, "list", "List tenants", [](Commands& c) { c.call("GET", "/tenants"); });
    add_one(tenant, "tenant", false);

    CLI::App& user = group("user", "Users: who calls");
    CLI::App& create_user = command(user, "create", "Create a user", [](Commands& c) {
      json::object body{{"name", c.o_->name}, {"tenant", c.o_->tenant}};
      if (c.o_->create) body["create"] = true;
      c.call("POST", "/users", c.with_terms(std::move(body)));
    });
    create_user.add_option("name", o_->name, "its name")->required();
    create_user.add_option("--tenant", o_->tenant, "the tenant's name or id")->required();
    create_user.add_flag("--create", o_->create, "create the tenant if it is missing");
    add_terms(create_user);
    CLI::App& list = command(user, "list", "List users", [](Commands& c) {
      c.call("GET", "/users" + c.query({{"tenant", c.o_->tenant}}));
    });
    list.add_option("--tenant", o_->tenant, "only of this tenant");
    add_one(user, "user", true);
  }

  // show, update and revoke of one tenant, user or key.
  void add_one(CLI::App& parent, const std::string& kind, bool of_tenant) {
    const std::string what = kind == "key" ? "its id" : "its name or id";
    const auto one = [&](const std::string& name, const std::string& help, const char* method) -> CLI::App& {
      CLI::App& made = command(parent, name, help, [kind, method = std::string(method)](Commands& c) {
        const std::string target = "/" + kind + "s/" + url_encode(c.o_->name) + c.query({{"tenant", c.o_->tenant}});
        if (method != "PATCH") return c.call(method, target);
        json::object limits = c.limits();
        if (!limits.empty()) return c.call(method, target, json::object{{"limits", std::move(limits)}});
        c.fail("say what to change: --rpm, --tpm or --concurrency");
      });
      made.add_option("id", o_->name, what)->required();
      if (of_tenant) made.add_option("--tenant", o_->tenant, "the tenant's name or id; not needed with an id");
      return made;
    };
    one("show", "Show one " + kind, "GET");
    add_limits(one("update", "Change the limits of one " + kind + "; 'none' lifts one", "PATCH"));
    one("revoke", "Revoke one " + kind + ": at once, and for good", "DELETE");
  }

  void add_key() {
    CLI::App& key = group("key", "API keys");
    CLI::App& create =
        command(key, "create", "Create a key; it is shown this once", [](Commands& c) { c.create_key(); });
    create.add_option("--tenant", o_->tenant, "the tenant's name or id")->required();
    create.add_option("--user", o_->user, "the user's name or id")->required();
    create.add_flag("--create", o_->create, "create tenant and user if they are missing");
    create.add_option("--model", o_->models, "a model that it may use; none: all");
    create.add_option("--expires", o_->expires, "when it ends: 30d, or 2027-01-31 (UTC)");
    add_terms(create);
    CLI::App& list = command(key, "list", "List keys", [](Commands& c) { c.list_keys(); });
    list.add_option("--tenant", o_->tenant, "only of this tenant");
    list.add_option("--user", o_->user, "only of this user");
    add_one(key, "key", false);
  }

  void add_budget() {
    CLI::App& budget = group("budget", "Budgets of tenants, users and keys");
    for (const bool set : {true, false}) {
      CLI::App& change =
          command(budget, set ? "set" : "unset", set ? "Set a budget, or change its amount" : "Lift a budget",
                  [set](Commands& c) { c.change_budget(set ? "PUT" : "DELETE"); });
      change.add_option("--key", o_->key, "of this key (an id)");
      change.add_option("--tenant", o_->tenant, "of this tenant");
      change.add_option("--user", o_->user, "of this user (of --tenant)");
      change.add_option("--model", o_->model_one, "with --user: of that user on this model");
      change
          .add_option("--budget,budget", o_->budget, "tokens:N/month, usd:X/day, …/total; 'soft' behind it only warns")
          ->required();
    }
    CLI::App& explain = command(
        budget, "explain", "Show every limit and budget that a call would meet, and how it stands", [](Commands& c) {
          c.call("GET", "/explain" + c.query({{"key", c.o_->key}, {"model", c.o_->model_one}}));
        });
    explain.add_option("--key", o_->key, "the key's id")->required();
    explain.add_option("--model", o_->model_one, "the model; without it, limits of models are left out");
    command(budget, "list", "List budgets and what is used of them", [](Commands& c) {
      c.list("/budgets",
             {"scope", "id", "tenant", "user", "model", "budget", "soft", "unit", "used", "reserved", "left"});
    });
  }

  void add_agents() {
    CLI::App& pair = group("pair", "Pairing of agents");
    command(pair, "create", "Make a one-time pairing key; it is good for a quarter of an hour",
            [](Commands& c) { c.create_pairing_key(); });
    CLI::App& agent = group("agent", "Agents on the machines that serve models");
    command(agent, "list", "List agents", [](Commands& c) {
      c.list("/agents", {"id", "name", "state", "version", "tunnels", "models", "paired", "certificate_expires"});
    });
    CLI::App& revoke = command(agent, "revoke", "Revoke an agent and cut its tunnels",
                               [](Commands& c) { c.call("DELETE", "/agents/" + url_encode(c.o_->name)); });
    revoke.add_option("id", o_->name, "its id")->required();
  }

  void add_operations() {
    command(app_, "status", "Show how the gateway is", [](Commands& c) { c.call("GET", "/status"); });
    command(app_, "models", "List models and where they are served", [](Commands& c) { c.call("GET", "/models"); });
    command(app_, "metrics", "Print the metrics in Prometheus' form", [](Commands& c) { c.stream("/metrics"); });
    command(app_, "reload", "Apply the changed conf file", [](Commands& c) { c.call("POST", "/reload"); });
    command(app_, "drain", "Take no new calls, end when the running ones have ended",
            [](Commands& c) { c.call("POST", "/drain"); });
  }

  void add_audit() {
    CLI::App& audit = group("audit", "Audit records");
    CLI::App& out = command(audit, "export", "Print audit records, the oldest first", [](Commands& c) {
      c.stream("/audit" + c.query({{"format", c.o_->format},
                                   {"from", c.o_->from},
                                   {"to", c.o_->to},
                                   {"tenant", c.o_->tenant},
                                   {"user", c.o_->user},
                                   {"model", c.o_->model_one}}));
    });
    out.add_option("--format", o_->format, "csv or jsonl")->required()->check(CLI::IsMember({"csv", "jsonl"}));
    out.add_option("--from", o_->from, "from this time on: 7d (ago), 2027-01-31, 2027-01-31T12:00:00Z (UTC)");
    out.add_option("--to", o_->to, "before this time");
    out.add_option("--tenant", o_->tenant, "only of this tenant (a name)");
    out.add_option("--user", o_->user, "only of this user (a name)");
    out.add_option("--model", o_->model_one, "only of this model, as asked for or as served");
  }

  void add_limits(CLI::App& command) {
    command.add_option("--rpm", o_->rpm, "requests a minute");
    command.add_option("--tpm", o_->tpm, "tokens a minute");
    command.add_option("--concurrency", o_->concurrency, "calls at once");
  }
  void add_terms(CLI::App& command) {
    add_limits(command);
    command.add_option("--budget", o_->budgets, "tokens:N/month, usd:X/month; also /day, /total");
  }

  // --- what they do ---

  void fail(std::string_view message) {
    std::fprintf(stderr, "sluice: %.*s\n", static_cast<int>(message.size()), message.data());
    exit_code_ = 1;
  }

  [[nodiscard]] std::string query(const std::vector<std::pair<std::string, std::string>>& parts) const {
    std::string text;
    for (const auto& [name, value] : parts)
      if (!value.empty()) text += (text.empty() ? "?" : "&") + name + "=" + url_encode(value);
    return text;
  }

  // The gateway judges the numbers; what is no number goes as the text it is, and is refused there.
  [[nodiscard]] json::object limits() const {
    json::object limits;
    for (const auto& [name, text] :
         {std::pair("rpm", &o_->rpm), std::pair("tpm", &o_->tpm), std::pair("concurrency", &o_->concurrency)}) {
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

  [[nodiscard]] json::object with_terms(json::object body) const {
    if (json::object own = limits(); !own.empty()) body["limits"] = std::move(own);
    if (!o_->budgets.empty()) body["budgets"] = json::array(o_->budgets.begin(), o_->budgets.end());
    return body;
  }

  // The answer's JSON; nothing: it failed, and the reason has been printed.
  std::optional<json::value> ask(const std::string& method, const std::string& target,
                                 const json::object* body = nullptr) {
    const auto answer = call_admin(o_->socket, method, target, body);
    if (!answer.ok()) {
      fail({answer.status().message().data(), answer.status().message().size()});
      return std::nullopt;
    }
    boost::system::error_code error;
    json::value value = json::parse(answer->body, error);
    if (error) {
      fail("what answers on " + o_->socket + " is not a sluice gateway");
      return std::nullopt;
    }
    if (answer->status == 200) return value;
    const json::object* object = value.if_object();
    fail(object == nullptr ? std::string_view("the gateway refused")
                           : text_of(*object, "error", "the gateway refused"));
    return std::nullopt;
  }

  void show(const json::value& value, std::span<const std::string_view> columns = {}) {
    const std::string text = o_->json ? json::serialize(value) + "\n" : as_table(value, columns);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  void call(const std::string& method, const std::string& target) {
    if (const auto value = ask(method, target)) show(*value);
  }
  void call(const std::string& method, const std::string& target, const json::object& body) {
    if (const auto value = ask(method, target, &body)) show(*value);
  }

  // For people the columns that they look for; --json has all.
  void list(const std::string& target, std::initializer_list<std::string_view> columns) {
    if (const auto value = ask("GET", target)) show(*value, columns);
  }

  void create_key() {
    json::object body{{"tenant", o_->tenant}, {"user", o_->user}};
    if (o_->create) body["create"] = true;
    if (!o_->models.empty()) body["models"] = json::array(o_->models.begin(), o_->models.end());
    if (!o_->expires.empty()) body["expires"] = o_->expires;
    call("POST", "/keys", with_terms(std::move(body)));
  }

  void create_pairing_key() {
    const auto value = ask("POST", "/pairings");
    if (!value) return;
    show(*value);
    if (!o_->json)
      std::printf(
          "\nOn the agent's machine:\n  sluice agent pair --gateway https://THIS_GATEWAY:PORT --pairing-key %s --dir "
          "DIR\n",
          std::string(text_of(value->as_object(), "key")).c_str());
  }

  // All pages; with --json as one object.
  void list_keys() {
    json::array all;
    std::string after;
    do {
      const auto page = ask("GET", "/keys" + query({{"tenant", o_->tenant}, {"user", o_->user}, {"after", after}}));
      if (!page) return;
      for (const json::value& key : page->as_object().at("keys").as_array()) all.push_back(key);
      after = std::string(text_of(page->as_object(), "next"));
    } while (!after.empty());
    show(all);
  }

  void change_budget(const std::string& method) {
    json::object body{{"budget", o_->budget}};
    for (const auto& [name, text] : {std::pair("key", &o_->key), std::pair("tenant", &o_->tenant),
                                     std::pair("user", &o_->user), std::pair("model", &o_->model_one)})
      if (!text->empty()) body[name] = *text;
    call(method, "/budgets", body);
  }

  // Text that goes straight to stdout.
  void stream(const std::string& target) {
    const auto answer = call_admin(o_->socket, "GET", target, nullptr,
                                   [](std::string_view part) { std::fwrite(part.data(), 1, part.size(), stdout); });
    std::fflush(stdout);
    if (!answer.ok()) return fail({answer.status().message().data(), answer.status().message().size()});
    if (answer->status == 200) return;
    const auto object = parse_object(answer->body, 64 * 1024);
    fail(object ? text_of(*object, "error", "the gateway refused") : std::string_view("the gateway refused"));
  }

  CLI::App& app_;
  int& exit_code_;
  std::shared_ptr<Options> o_;  // shared with the callbacks, which outlive this object
};

}  // namespace

void add_admin_commands(CLI::App& app, int& exit_code) { Commands(app, exit_code).add(); }

}  // namespace sluice::admin
