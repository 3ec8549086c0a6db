// The `sluice` program: one binary, its subcommands wired to the parts that carry them out.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "agent/command.h"
#include "base/version.h"
#include "cli/admin_commands.h"
#include "cli/command_line.h"
#include "config/loader.h"
#include "demo/command.h"
#include "plugins/registry.h"
#include "server/check.h"
#include "server/dialects.h"
#include "server/restore_command.h"
#include "server/serve.h"
#include "server/verify_audit.h"

namespace {

sluice::server::PolicyMaker policy_maker() {
  return {.known = sluice::plugins::known(),
          .make = [](const sluice::config::Settings& settings, sluice::ledger::Ledger& ledger,
                     sluice::server::Accounting& accounting, std::uint64_t boot_id, sluice::policy::KeptState& kept) {
            return sluice::plugins::make_chain(settings.policies.order, {.ledger = ledger,
                                                                         .audit = accounting.sink(),
                                                                         .boot_id = boot_id,
                                                                         .journal = accounting.journal(),
                                                                         .kept = &kept,
                                                                         .tables = settings.policy});
          }};
}

// Each subcommand has options of its own: CLI11 fills in the defaults of all of them, chosen or not.
std::shared_ptr<std::string> add_conf_option(CLI::App& command) {
  const auto path = std::make_shared<std::string>(sluice::config::kDefaultPath);
  command.add_option("--config", *path, "the conf file")->type_name("FILE")->capture_default_str();
  return path;
}

void add_gateway_commands(CLI::App& app, int& exit_code) {
  CLI::App* serve = app.add_subcommand("serve", "Run the gateway");
  serve->callback(
      [&exit_code, conf = add_conf_option(*serve)] { exit_code = sluice::server::serve(*conf, policy_maker()); });

  CLI::App* check = app.add_subcommand("check", "Check a conf file and print every error as FILE:LINE:COLUMN");
  check->callback(
      [&exit_code, conf = add_conf_option(*check)] { exit_code = sluice::server::check(*conf, policy_maker()); });
}

void add_audit_verify(CLI::App& audit, int& exit_code) {
  CLI::App* verify = audit.add_subcommand("verify", "Prove that the journal is whole, up to its last seal");
  const auto json = std::make_shared<bool>(false);  // shared: the callback outlives this function
  verify->add_flag("--json", *json, "print JSON");
  verify->footer(
      "It reads the files that the conf file names, whether a gateway runs or not; so it takes no --socket. What it "
      "counts are records of the journal (a call leaves one when it is admitted, some as it goes on, and one at its "
      "end); what `sluice status` counts under audit are calls that have ended since the start.");
  verify->callback([&exit_code, json, conf = add_conf_option(*verify)] {
    exit_code =
        sluice::server::verify_audit(*conf, sluice::plugins::known(),
                                     *json ? sluice::server::VerifyOutput::kJson : sluice::server::VerifyOutput::kText);
  });
}

void add_restore(CLI::App& app, int& exit_code) {
  CLI::App* restore = app.add_subcommand("restore", "Put a backup in its place, while no gateway runs");
  const auto file = std::make_shared<std::string>();  // shared: the callback outlives this function
  restore->add_option("file", *file, "what `sluice backup` has written")->required();
  restore->callback([&exit_code, file, conf = add_conf_option(*restore)] {
    exit_code = sluice::server::restore_command(*file, *conf, sluice::plugins::known());
  });
}

// Starts the program again with every symbol of every library bound. A symbol that is bound at its first call passes
// through the dynamic loader, which saves the vector registers on the stack, and after a memcpy they hold a piece of a
// prompt or an answer. -z now does this for the program itself, but not for libraries that were linked without it.
void bind_all_symbols(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if ((command != "serve" && command != "agent") || std::getenv("LD_BIND_NOW") != nullptr) return;
  std::error_code none;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", none);
  ::setenv("LD_BIND_NOW", "1", 1);
  if (!none) ::execv(self.c_str(), argv);  // returns only where it fails: then go on as we are
}

}  // namespace

int main(int argc, char** argv) {
  bind_all_symbols(argc, argv);
  // Before the first socket: a peer that closed early must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"Sluice: a reverse proxy and API gateway for language models", "sluice"};
  app.require_subcommand(1);
  int exit_code = 0;
  app.set_version_flag("--version", std::string("sluice ") + sluice::kVersion, "Print the version and exit");
  app.footer("Exit code: 0, done; 1, refused or failed; 2, the command makes no sense. Why is a line on stderr.");
  add_gateway_commands(app, exit_code);
  const sluice::server::Dialects dialects;
  sluice::agent::add_agent_commands(
      *app.add_subcommand("agent", "Agents: pair, run, list, revoke")->require_subcommand(1),
      dialects.table().endpoints(), exit_code);
  sluice::cli::add_admin_commands(app, exit_code);
  add_restore(app, exit_code);
  add_audit_verify(*app.get_subcommand("audit"), exit_code);
  sluice::demo::add_demo_command(app, exit_code);
  sluice::cli::add_help(app, exit_code);
  return sluice::cli::run(app, argc, argv, exit_code);
}
