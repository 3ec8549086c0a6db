// What the agent is told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/version.h"

namespace sluice::agent {

struct PairOptions {
  std::string gateway;      // "https://host:port"
  std::string pairing_key;  // one-time, from `sluice pair create`
  std::string dir;          // where the agent keeps what it is
  std::string ca;           // PEM file that the gateway's certificate is checked against; empty: the system's
  std::string name;         // for people; empty: the host's name
};

struct RunOptions {
  std::string dir;
  std::string backend;              // "http://127.0.0.1:8000", or https
  std::string backend_key;          // "file:PATH" or "env:NAME": sent to it as Bearer; empty: none
  std::string backend_ca;           // PEM file that its certificate is checked against; empty: the system's
  bool usage_in_stream = true;      // a gateway may ask the model server for usage in streams
  std::string cap_member = "auto";  // as what a gateway sends the cap of a chat: kCapMemberNames
  std::vector<std::string> allow;   // calls that are forwarded beside those of the table: "POST /v1/…"
  std::uint32_t slots = 0;          // calls that it takes at once, per model; 0: it is asked
  std::uint32_t most_tunnels = 8;   // to one gateway
  std::uint32_t grace_ms = 30'000;  // running calls may take so long to end on SIGTERM
  std::uint32_t ping_interval_ms = 10'000;
  std::uint32_t poll_interval_ms =
      10'000;  // between questions for its slots; between looks at its list, if less than 3 s
  // From a request to its answer's head, and between two parts of it. As long as a gateway's [tunnel] head_time and
  // stream_gap can be: the gateway bounds its calls itself, and ends the stream of one that took too long.
  std::uint32_t head_time_ms = 86'400'000;
};

}  // namespace sluice::agent
