#include "agent/command.h"

#include <cstdio>

#include "agent/forwarded_calls.h"
#include "agent/pair.h"
#include "agent/run.h"
#include "tunnel/control.h"

namespace sluice::agent {
namespace {

void add_pair(CLI::App& agent, int& exit_code) {
  const auto options = std::make_shared<PairOptions>();  // shared: the callback outlives this function
  CLI::App* const command = agent.add_subcommand("pair", "make this machine an agent of a gateway");
  command->add_option("--gateway", options->gateway, "https://HOST:PORT of the gateway")->required();
  command
      ->add_option(
          "--pairing-key", options->pairing_key,
          "from `sluice pair create`, good once; given as SLUICE_PAIRING_KEY it stands in no list of processes")
      ->envname("SLUICE_PAIRING_KEY")
      ->required();
  command->add_option("--dir", options->dir, "where this agent keeps its key and certificate")->required();
  command->add_option("--ca", options->ca, "PEM file to check the gateway against (default: the system's roots)");
  command->add_option("--name", options->name, "name shown to people (default: the host's)");
  command->callback([options, &exit_code] {
    const absl::Status status = pair(*options);
    if (status.ok()) {
      std::printf("paired; start it with `sluice agent run --dir %s --backend URL`\n", options->dir.c_str());
      return;
    }
    std::fprintf(stderr, "sluice agent: %s\n", std::string(status.message()).c_str());
    exit_code = 1;
  });
}

void add_run(CLI::App& agent, std::span<const dialect::Endpoint> endpoints, int& exit_code) {
  const auto options = std::make_shared<RunOptions>();  // shared: the callback outlives this function
  CLI::App* const command = agent.add_subcommand("run", "dial the gateways and forward calls to a model server");
  command->add_option("--dir", options->dir, "the folder that `sluice agent pair` made")->required();
  command->add_option("--backend", options->backend, "URL of an OpenAI-compatible server, with or without /v1")
      ->required();
  command
      ->add_option("--cap-member", options->cap_member,
                   "as what an output cap that the gateway adds is sent to the model server: auto, max_tokens or "
                   "max_completion_tokens")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kCapMemberNames), std::end(kCapMemberNames))))
      ->capture_default_str();
  command->add_flag("!--no-usage-in-stream", options->usage_in_stream,
                    "the model server refuses stream_options: do not ask it for usage in streams");
  command->add_option("--backend-key", options->backend_key, "its API key, as file:PATH or env:NAME");
  command->add_option("--backend-ca", options->backend_ca,
                      "PEM file to check an https:// backend against (default: the system's roots)");
  command
      ->add_option(
          "--allow", options->allow,
          "a call that is forwarded beside those that this program knows, such as 'POST /v1/ocr'; may be given "
          "again")
      ->type_name("'METHOD PATH'")
      ->expected(1)
      ->take_all()
      ->check(CLI::Validator(wrong_allowance, ""));
  command->add_option("--slots", options->slots, "calls at once, per model (default: what the server says, else 64)");
  command->add_option("--tunnels", options->most_tunnels, "most tunnels to one gateway")->capture_default_str();
  command->add_option("--grace-ms", options->grace_ms, "for running calls on SIGTERM")->capture_default_str();
  command->add_option("--ping-interval-ms", options->ping_interval_ms, "between pings")->capture_default_str();
  command
      ->add_option("--poll-interval-ms", options->poll_interval_ms,
                   "between questions for how many calls it takes at once, and, if less than 3 s, for its models")
      ->capture_default_str();
  command->callback([options, endpoints, &exit_code] { exit_code = run(*options, endpoints); });
}

}  // namespace

void add_agent_commands(CLI::App& agent, std::span<const dialect::Endpoint> endpoints, int& exit_code) {
  add_pair(agent, exit_code);
  add_run(agent, endpoints, exit_code);
}

}  // namespace sluice::agent
