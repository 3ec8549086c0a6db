// What one run of sluice-load does, as given on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

enum class Mode : std::uint8_t {
  kCalls,  // keep-alive connections, one call after another on each (or at a fixed rate over all)
  kStorm,  // every call on a connection of its own: connect, handshake, call, close
  kIdle,   // open connections and hold them
  kAbort,  // start a stream, leave it after some events, connect again
};

struct Options {
  Mode mode = Mode::kCalls;
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  bool tls = true;
  bool resume = false;  // storm: offer the ticket of the connection before
  std::string path = "/v1/chat/completions";
  std::string model = "bench-json";
  std::uint32_t models = 1;          // > 1: MODEL-0 … MODEL-(n-1) in turn
  std::vector<std::string> keys;     // in turn; empty: no Authorization
  std::vector<std::string> headers;  // more lines of the head
  std::size_t prompt_bytes = 100;
  bool stream = false;
  bool usage = false;             // stream_options.include_usage
  std::uint32_t events = 0;       // that a stream must have; 0: any number
  std::uint32_t abort_after = 1;  // events, in abort mode
  bool touch = false;             // idle: one call on each connection before it is held

  std::uint32_t connections = 64;
  std::uint32_t connecting = 64;  // at most so many handshakes under way while connections are opened first
  std::uint32_t threads = 1;
  double rate = 0;  // calls a second over all connections; 0: closed loop
  double warmup_s = 1;
  double duration_s = 5;
  std::uint64_t calls = 0;  // at most; 0: as many as fit
  std::vector<int> watch;   // processes whose CPU time and memory are read at both ends of the window
};

// Reads argv. On an error or --help prints and ends the process.
Options parse_options(int argc, char** argv);

}  // namespace sluice::bench
