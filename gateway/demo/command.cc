#include "demo/command.h"

#include <memory>

#include "demo/demo_model.h"
#include "demo/faults.h"

namespace sluice::demo {
namespace {

std::string fault_help() {
  std::string text =
      "It calls a tool where tool_choice says so, or where the question names one or speaks of a tool; what it says "
      "fits\n"
      "the tool's parameters, or the response format that is asked for.\n\n"
      "Faults, for --fault, the header x-demo-fault: NAME[=ARG][,NAME...] or a model named "
      "MODEL:fault=NAME[=ARG][+NAME...]:\n";
  for (const FaultRow& row : fault_rows()) {
    std::string name(row.name);
    if (!row.argument.empty()) name += "=" + std::string(row.argument);
    name.resize(std::max<std::size_t>(name.size(), 26), ' ');
    text += "  " + name + " " + std::string(row.says) + "\n";
  }
  return text;
}

}  // namespace

void add_demo_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("demo-model", "Run a small OpenAI-compatible model server that needs no GPU");
  const auto options = std::make_shared<DemoOptions>();
  const auto pace = std::make_shared<double>(20.0);
  command->add_option("--listen", options->listen, "HOST:PORT to listen on; port 0: the system picks one")
      ->capture_default_str();
  command->add_option("--models", options->models, "Names of the models served, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--pace", *pace, "Milliseconds between tokens; 0: as fast as they are taken")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--tokens", options->tokens, "Tokens of an answer whose request has no smaller cap")
      ->capture_default_str();
  command->add_flag("--ignore-caps", options->ignore_caps, "Generate --tokens tokens whatever cap a request has");
  command->add_flag("--record", options->record, "Keep the last request's body for GET /demo/stats");
  command->add_flag("--list-faults", options->list_faults,
                    "List every model once more with each fault: MODEL:fault=NAME");
  command->add_option("--fault", options->faults, "Faults for every request: NAME[=ARG][,NAME...]");
  command->add_option("--threads", options->threads, "Threads that serve")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->footer(fault_help());
  command->callback([options, pace, &exit_code] {
    options->pace = std::chrono::microseconds(static_cast<std::int64_t>(*pace * 1000));
    exit_code = run_demo_model(*options);
  });
}

}  // namespace sluice::demo
