// What a demo model is told at its start.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::demo {

struct DemoOptions {
  std::string listen = "127.0.0.1:0";  // port 0: the system picks one
  std::vector<std::string> models{"demo-model"};
  std::chrono::microseconds pace{20'000};  // between tokens
  std::uint64_t tokens = 24;               // of an answer without a cap
  bool ignore_caps = false;                // generate `tokens` whatever the request says
  bool record = false;                     // keep the last body for /demo/stats
  bool list_faults = false;                // list every model once more with each fault
  std::string faults;                      // for every request
  unsigned threads = 1;
};

}  // namespace sluice::demo
