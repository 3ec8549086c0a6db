// The answers of the bench's model server, made once per model name: sending one is a write of bytes that are there.
//
//   bench-json[-ANY]           one JSON answer of about 400 bytes, usage included
//   bench-sse-EVENTS-PACE[-ANY]  an SSE stream of EVENTS content events, one every PACE milliseconds (0: all in one
//                              write), then the usage chunk if it was asked for, then [DONE]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::bench {

struct Answer {
  bool stream = false;
  std::uint32_t events = 0;
  std::uint32_t pace_ms = 0;
  std::string head_and_first;  // JSON: the whole answer
  std::string middle;          // one event in its HTTP chunk
  std::string last;            // the last event, [DONE] and the end of the transfer
  std::string last_with_usage;
  std::string burst;  // pace 0: everything in one
  std::string burst_with_usage;
};

// Thread: one. Answers live as long as the book.
class AnswerBook final {
 public:
  // nullptr: no model of that name.
  const Answer* find(std::string_view model);

 private:
  std::map<std::string, std::unique_ptr<Answer>, std::less<>> answers_;
};

}  // namespace sluice::bench
