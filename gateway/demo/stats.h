// What a demo model has seen, for GET /demo/stats: how tests learn what reached the model server, and when a call was
// given up.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/request_head.h"

namespace sluice::demo {

// Thread: any. A lock for a moment per call, beside which the call's own work is long.
class Stats final {
 public:
  explicit Stats(bool record) : record_(record) {}

  void started(const http::RequestHead& head, std::string_view body);
  void finished();
  // The client left before its answer was whole.
  void cancelled();

  [[nodiscard]] std::string json() const;

 private:
  const bool record_;
  mutable std::mutex mutex_;
  std::uint64_t started_ = 0, finished_ = 0, cancelled_ = 0;
  std::uint64_t last_cancel_micros_ = 0;  // since 1970
  std::string last_method_, last_target_, last_body_sha256_, last_body_;
  std::size_t last_body_bytes_ = 0;
  std::vector<std::pair<std::string, std::string>> last_headers_;
};

}  // namespace sluice::demo
