#include "cli/admin_commands.h"

#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include "cli/client.h"
#include "cli/invocation.h"

namespace sluice::cli {
namespace {

// A subcommand, and where CLI11 puts its options.
struct Command {
  CLI::App& app;
  Options& o;
};

constexpr std::uint32_t kTimeout = 30;           // seconds
constexpr std::uint32_t kBackupTimeout = 3'600;  // which says nothing until it is whole

enum class Output : std::uint8_t {
  kAnswer,  // a JSON answer, shown to people as a table
  kText,    // what the gateway sends, as it is
};

class Commands final {
 public:
  Commands(CLI::App& app, int& exit_code) : app_(app), exit_code_(exit_code) {}

  void add() {
    add_tenant_and_user();
    add_key();
    add_budget();
    add_agents();
    add_secrets();
    add_operations();
    add_routes();
    add_backup();
    add_audit();
  }

 private:
  CLI::App& group(const std::string& name, const std::string& help) {
    for (CLI::App* there : app_.get_subcommands([&](CLI::App* one) { return one->get_name() == name; })) return *there;
    return *app_.add_subcommand(name, help)->require_subcommand(1);
  }

  // A subcommand with options of its own; once chosen, it runs `action` on them.
  template <class Action>
  Command command(CLI::App& parent, const std::string& name, const std::string& help, Action action,
                  Output output = Output::kAnswer, std::uint32_t timeout_s = kTimeout) {
    CLI::App* made = parent.add_subcommand(name, help);
    const auto options = std::make_shared<Options>();  // shared: the callback outlives this function
    made->add_option("--socket", options->where.socket, "the gateway's admin socket")->type_name("PATH");
    made->add_option("--config", options->where.config, "the gateway's conf file, which says where its socket is")
        ->type_name("FILE");
    if (output == Output::kAnswer) made->add_flag("--json", options->json, "print JSON");
    options->timeout_s = timeout_s;
    made->add_option("--timeout", options->timeout_s,
                     output == Output::kAnswer
                         ? "how many seconds the gateway may take for its answer before this gives up"
                         : "how many seconds the gateway may be silent before this gives up; all of it may take longer")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
    made->footer(socket_help());
    made->callback([options, action, &code = exit_code_] {
      Invocation run(*options, code);
      action(run);
    });
    return {*made, *options};
  }

  void add_tenant_and_user() {
    CLI::App& tenant = group("tenant", "Tenants: who pays");
    const Command create = command(tenant, "create", "Create a tenant", [](Invocation& run) {
      run.call("POST", "/tenants", run.with_terms({{"name", run.o.name}}));
    });
    create.app.add_option("name", create.o.name, "its name")->required();
    add_terms(create);
    command(tenant, "list", "List tenants", [](Invocation& run) { run.call("GET", "/tenants"); });
    add_one(tenant, "tenant", false);

    CLI::App& user = group("user", "Users: who calls");
    const Command create_user = command(user, "create", "Create a user", [](Invocation& run) {
      json::object body{{"name", run.o.name}, {"tenant", run.o.tenant}};
      if (run.o.create) body["create"] = true;
      run.call("POST", "/users", run.with_terms(std::move(body)));
    });
    create_user.app.add_option("name", create_user.o.name, "its name")->required();
    create_user.app.add_option("--tenant", create_user.o.tenant, "the tenant's name or id")->required();
    create_user.app.add_flag("--create", create_user.o.create, "create the tenant if it is missing");
    add_terms(create_user);
    const Command list = command(user, "list", "List users", [](Invocation& run) {
      run.call("GET", "/users" + Invocation::query({{"tenant", run.o.tenant}}));
    });
    list.app.add_option("--tenant", list.o.tenant, "only of this tenant");
    add_one(user, "user", true);
  }

  // show, update and revoke of one tenant, user or key.
  void add_one(CLI::App& parent, const std::string& kind, bool of_tenant) {
    const std::string what = kind == "key" ? "its id" : "its name or id";
    const auto one = [&](const std::string& name, const std::string& help, const char* method) {
      const Command made = command(parent, name, help, [kind, method = std::string(method)](Invocation& run) {
        const std::string target =
            "/" + kind + "s/" + url_encode(run.o.name) + Invocation::query({{"tenant", run.o.tenant}});
        if (method != "PATCH") return run.call(method, target);
        json::object limits = run.limits();
        if (!limits.empty()) return run.call(method, target, json::object{{"limits", std::move(limits)}});
        run.misused("say what to change: --rpm, --tpm or --concurrency");
      });
      made.app.add_option("id", made.o.name, what)->required();
      if (of_tenant) made.app.add_option("--tenant", made.o.tenant, "the tenant's name or id; not needed with an id");
      return made;
    };
    one("show", "Show one " + kind, "GET");
    if (kind != "key") add_limits(one("update", "Change the limits of one " + kind + "; 'none' lifts one", "PATCH"));
    one("revoke", "Revoke one " + kind + ": at once, and for good", "DELETE");
  }

  void add_key() {
    CLI::App& key = group("key", "API keys");
    const Command create =
        command(key, "create", "Create a key; it is shown this once", [](Invocation& run) { run.create_key(); });
    create.app.add_option("--tenant", create.o.tenant, "the tenant's name or id")->required();
    create.app.add_option("--user", create.o.user, "the user's name or id")->required();
    create.app.add_flag("--create", create.o.create, "create tenant and user if they are missing");
    create.app.add_option("--model", create.o.models, "a model that it may use; none: all");
    create.app.add_option("--name", create.o.new_name, "a name for people");
    create.app.add_option("--expires", create.o.expires, "when it ends: 30d, or 2027-01-31 (UTC)");
    add_terms(create);
    const Command list = command(key, "list", "List keys", [](Invocation& run) { run.list_keys(); });
    list.app.add_option("--tenant", list.o.tenant, "only of this tenant");
    list.app.add_option("--user", list.o.user, "only of this user");
    add_one(key, "key", false);
    add_key_changes(key);
  }

  void add_key_changes(CLI::App& key) {
    const Command update = command(key, "update", "Change one key: its name, state, expiry, models and limits",
                                   [](Invocation& run) { run.update_key(); });
    update.app.add_option("id", update.o.name, "its id")->required();
    update.app.add_option("--name", update.o.new_name, "another name");
    CLI::Option* suspend = update.app.add_flag("--suspend", update.o.suspend, "refuse it, and end its running streams");
    update.app.add_flag("--resume", update.o.resume, "take it again")->excludes(suspend);
    update.app.add_option("--expires", update.o.expires, "when it ends: 30d, or 2027-01-31 (UTC); none: never");
    CLI::Option* models = update.app.add_option("--model", update.o.models, "a model that it may use from now on");
    update.app.add_flag("--any-model", update.o.any_model, "it may use every model")->excludes(models);
    add_limits(update, "; none: no limit");
    const Command rotate =
        command(key, "rotate", "Give one key another secret, which is shown this once; limits and budgets go on",
                [](Invocation& run) {
                  json::object body;
                  if (!run.o.grace.empty()) body["grace"] = run.o.grace;
                  run.call("POST", "/keys/" + url_encode(run.o.name) + "/rotate", body);
                });
    rotate.app.add_option("id", rotate.o.name, "its id")->required();
    rotate.app.add_option(
        "--grace", rotate.o.grace,
        "for how long the secret so far is good as well, such as 7d; without it, not at all. One that "
        "was replaced before that ends now");
  }

  void add_budget() {
    CLI::App& budget = group("budget", "Budgets of tenants, users and keys");
    for (const bool set : {true, false}) {
      const Command change =
          command(budget, set ? "set" : "unset", set ? "Set a budget, or change its amount" : "Lift a budget",
                  [set](Invocation& run) { run.change_budget(set ? "PUT" : "DELETE"); });
      change.app.add_option("--key", change.o.key, "of this key (an id)");
      change.app.add_option("--tenant", change.o.tenant, "of this tenant");
      change.app.add_option("--user", change.o.user, "of this user (of --tenant)");
      change.app.add_option("--model", change.o.model_one, "with --user: of that user on this model");
      // Either is enough, which CLI11 cannot say: change_budget() does.
      CLI::Option* option = change.app.add_option("--budget", change.o.budget, "the same as an option");
      change.app
          .add_option("budget", change.o.budget, "tokens:N/month, usd:X/day, …/total; 'soft' behind it only warns")
          ->excludes(option);
    }
    const Command explain =
        command(budget, "explain", "Show every limit and budget that a call would meet, and how it stands",
                [](Invocation& run) {
                  run.call("GET", "/explain" + Invocation::query({{"key", run.o.key}, {"model", run.o.model_one}}));
                });
    explain.app.add_option("--key", explain.o.key, "the key's id")->required();
    explain.app.add_option("--model", explain.o.model_one, "the model; without it, limits of models are left out");
    command(
        budget, "list", "List budgets, those of the conf's models too, and what is used of them", [](Invocation& run) {
          run.list("/budgets",
                   {"scope", "id", "tenant", "user", "model", "budget", "unit", "used", "reserved", "left", "set_by"});
        });
  }

  void add_agents() {
    CLI::App& pair = group("pair", "Pairing of agents");
    const Command create = command(pair, "create", "Make a pairing key: good once, for [pairing] key_lifetime (15m)",
                                   [](Invocation& run) { run.create_pairing_key(); });
    create.app.add_option("--model", create.o.models, "a model that the agent may serve; repeat it for more");
    create.app.add_flag("--any-model", create.o.any_model, "it may serve whatever it offers, under any name");
    create.app.add_option("--tenant", create.o.tenants, "a tenant that it serves; none: all; repeat it for more");
    CLI::App& agent = group("agent", "Agents on the machines that serve models");
    command(agent, "list", "List agents", [](Invocation& run) {
      run.list("/agents", {"id", "name", "state", "trouble", "lacks", "version", "tunnels", "models", "may_serve",
                           "tenants", "paired", "certificate_expires"});
    });
    const Command revoke = command(agent, "revoke", "Revoke an agent and cut its tunnels",
                                   [](Invocation& run) { run.call("DELETE", "/agents/" + url_encode(run.o.name)); });
    revoke.app.add_option("id", revoke.o.name, "its id")->required();
  }

  void add_secrets() {
    CLI::App& secret = group("secret", "Providers' keys, sealed in the store; upstreams name them as \"secret:NAME\"");
    const Command set = command(secret, "set", "Set a secret, or replace it; upstreams use it at once",
                                [](Invocation& run) { run.set_secret(); });
    set.app.add_option("name", set.o.name, "its name; the value comes by standard input")->required();
    command(secret, "list", "List secrets; their values are never shown", [](Invocation& run) {
      run.list("/secrets", {"name", "state", "version", "used_by", "changed"});
    });
    const Command remove = command(secret, "remove", "Remove a secret that no upstream uses",
                                   [](Invocation& run) { run.call("DELETE", "/secrets/" + url_encode(run.o.name)); });
    remove.app.add_option("name", remove.o.name, "its name")->required();
    command(secret, "rotate", "Seal all secrets anew, with the master key that the conf has now",
            [](Invocation& run) { run.call("POST", "/secrets/rotate"); });
  }

  void add_operations() {
    command(app_, "status", "Show how the gateway is", [](Invocation& run) { run.call("GET", "/status"); });
    command(app_, "models", "List models and where they are served", [](Invocation& run) { run.list_models(); });
    command(
        app_, "metrics", "Print the metrics in Prometheus' form", [](Invocation& run) { run.stream("/metrics"); },
        Output::kText);
    command(app_, "reload", "Apply the changed conf file, and say which keys wait for a restart",
            [](Invocation& run) { run.reload(); });
    command(app_, "drain", "Take no new calls, end when the running ones have ended",
            [](Invocation& run) { run.call("POST", "/drain"); });
  }

  void add_routes() {
    CLI::App& route = group("route", "Where calls go: what [[routes]] of the conf say, and how it stands");
    const Command show = command(route, "show", "Show the routes of a model and its places", [](Invocation& run) {
      run.call("GET", "/route" + Invocation::query({{"model", run.o.name}}));
    });
    show.app.add_option("model", show.o.name, "the model, as clients call it")->required();
    const Command explain =
        command(route, "explain", "Explain where a call would go now, decision by decision", [](Invocation& run) {
          run.list("/route/explain" + Invocation::query({{"key", run.o.key}, {"model", run.o.model_one}}),
                   {"decision", "outcome"});
        });
    explain.app.add_option("--key", explain.o.key, "the key's id")->required();
    explain.app.add_option("--model", explain.o.model_one, "the model, as clients call it")->required();
  }

  void add_backup() {
    const Command backup = command(
        app_, "backup", "Write a backup of the running gateway: store, agents' CA, seal key",
        [](Invocation& run) { run.backup(); }, Output::kAnswer, kBackupTimeout);
    backup.app.add_option("file", backup.o.name, "the file to write; it must not be there yet")->required();
    command(app_, "resume", "Resume the keys and agents that a restore without its log of revocations has suspended",
            [](Invocation& run) { run.call("POST", "/resume"); });
  }

  void add_audit() {
    CLI::App& audit = group("audit", "Audit records");
    const Command out = command(
        audit, "export", "Print audit records, the oldest first",
        [](Invocation& run) {
          run.stream("/audit" + Invocation::query({{"format", run.o.format},
                                                   {"from", run.o.from},
                                                   {"to", run.o.to},
                                                   {"tenant", run.o.tenant},
                                                   {"user", run.o.user},
                                                   {"model", run.o.model_one}}));
        },
        Output::kText);
    out.app.add_option("--format", out.o.format, "csv or jsonl")->required()->check(CLI::IsMember({"csv", "jsonl"}));
    out.app.add_option("--from", out.o.from, "from this time on: 7d (ago), 2027-01-31, 2027-01-31T12:00:00Z (UTC)");
    out.app.add_option("--to", out.o.to, "before this time");
    out.app.add_option("--tenant", out.o.tenant, "only of this tenant (its name or id)");
    out.app.add_option("--user", out.o.user, "only of this user (its name or id)");
    out.app.add_option("--model", out.o.model_one, "only of this model, as asked for or as served");
  }

  // What is wrong with the text of a limit; empty: nothing.
  static std::string check_limit(const std::string& text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc() && end == text.data() + text.size() && number > 0;
    return whole || text == "none" ? "" : "give a whole number of at least 1, or none for no limit, not '" + text + "'";
  }
  static void add_limits(const Command& command, const std::string& more = "") {
    command.app.add_option("--rpm", command.o.rpm, "requests a minute" + more)->check(check_limit);
    command.app.add_option("--tpm", command.o.tpm, "tokens a minute" + more)->check(check_limit);
    command.app.add_option("--concurrency", command.o.concurrency, "calls at once" + more)->check(check_limit);
  }
  static void add_terms(const Command& command) {
    add_limits(command);
    command.app.add_option("--budget", command.o.budgets, "tokens:N/month, usd:X/month; also /day, /total");
  }

  CLI::App& app_;
  int& exit_code_;
};

}  // namespace

void add_admin_commands(CLI::App& app, int& exit_code) { Commands(app, exit_code).add(); }

}  // namespace sluice::cli
