// sluice-bench-model: the model server behind every gateway of scripts/bench. answers.h says what its models do.
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "model/server.h"

int main(int argc, char** argv) {
  sluice::bench::Server::Options options;
  CLI::App app{"An OpenAI-compatible server of fixed answers, for benchmarks"};
  app.add_option("--port", options.port, "0: the system picks one");
  app.add_option("--tick-us", options.tick_us, "how finely streams are paced")->check(CLI::Range(50, 100'000));
  app.add_option("--models", options.models, "list bench-json-0 to bench-json-(N-1) as well");
  app.add_option("--list", options.listed, "more names for /v1/models");
  CLI11_PARSE(app, argc, argv);
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  sluice::bench::Server server(options);
  const std::uint16_t port = server.listen();
  if (port == 0) {
    std::fprintf(stderr, "sluice-bench-model: port %u is in use\n", static_cast<unsigned>(options.port));
    return 1;
  }
  std::printf("port=%u\n", static_cast<unsigned>(port));
  std::fflush(stdout);
  server.run();
  return 0;
}
