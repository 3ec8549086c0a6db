#include "load/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

namespace sluice::bench {
namespace {

constexpr std::size_t kMostKeys = 20'000;  // each is a prepared request in memory

void read_keys(const std::string& file, std::vector<std::string>& into) {
  std::ifstream lines(file);
  for (std::string line; into.size() < kMostKeys && std::getline(lines, line);) {
    if (!line.empty()) into.push_back(line);
  }
  if (into.empty()) {
    std::cerr << "sluice-load: no key in " << file << "\n";
    std::exit(2);
  }
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app{"Loads an OpenAI-compatible server and prints what it saw as one JSON object"};
  const std::map<std::string, Mode> modes{
      {"calls", Mode::kCalls}, {"storm", Mode::kStorm}, {"idle", Mode::kIdle}, {"abort", Mode::kAbort}};
  std::string key_file;
  bool plain = false;
  app.add_option("--mode", options.mode, "calls, storm, idle or abort")->transform(CLI::CheckedTransformer(modes));
  app.add_option("--host", options.host, "numeric address");
  app.add_option("--port", options.port)->required();
  app.add_flag("--plain", plain, "no TLS");
  app.add_flag("--resume", options.resume, "storm: resume the session of the connection before");
  app.add_option("--path", options.path);
  app.add_option("--model", options.model);
  app.add_option("--models", options.models, "above 1: MODEL-0, MODEL-1, … in turn")->check(CLI::Range(1, 20'000));
  app.add_option("--key", options.keys, "bearer key");
  app.add_option("--key-file", key_file, "bearer keys, one a line, used in turn");
  app.add_option("--header", options.headers, "NAME: VALUE, added to each request");
  app.add_option("--prompt", options.prompt_bytes, "bytes of the prompt");
  app.add_flag("--stream", options.stream);
  app.add_flag("--usage", options.usage, "ask for the usage chunk");
  app.add_option("--events", options.events, "events that a whole stream has");
  app.add_option("--abort-after", options.abort_after, "events");
  app.add_flag("--touch", options.touch, "idle: one call on each connection first");
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 100'000));
  app.add_option("--connecting", options.connecting)->check(CLI::Range(1, 10'000));
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 64));
  app.add_option("--rate", options.rate, "calls a second, open loop; 0: closed loop");
  app.add_option("--warmup", options.warmup_s, "seconds");
  app.add_option("--duration", options.duration_s, "seconds")->check(CLI::Range(0.1, 3600.0));
  app.add_option("--calls", options.calls, "at most so many calls");
  app.add_option("--watch", options.watch, "process ids");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  options.tls = !plain;
  if (!key_file.empty()) read_keys(key_file, options.keys);
  if (options.mode == Mode::kAbort) options.stream = true;
  return options;
}

}  // namespace sluice::bench
