// A stream repeats itself: from one chunk to the next nothing changes but one string, the text. So a chunk whose bytes
// before and after that string are those of the last one that was looked at needs no second look: what is true of one
// is true of the other, and the same members are left out.
//
//   {"id":"c1",…,"choices":[{"index":0,"delta":{"content":"| Hello |"},"finish_reason":null}],"usage":null}
//   \________________________ front ______________________/ inside \________________ back ________________/
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace sluice::openai {

class RepeatedChunk final {
 public:
  // If `data` repeats what was learnt, appends its event to `out` and returns the bytes of its text.
  [[nodiscard]] std::optional<std::uint64_t> pass(std::string_view data, Buffer& out) const;

  // `inside`, a part of `data`, is the text of a chunk that has no other; `event` is the whole event that it left as,
  // with `inside` at `at`. REQUIRES: one line of data, no event name, nothing in it that changes what is known of the
  // stream.
  void learn(std::string_view data, std::string_view inside, std::string_view event, std::size_t at);

 private:
  // The two as they come, then the two as they leave, one behind another. Empty: nothing was learnt.
  Buffer kept_;
  std::uint32_t front_bytes_ = 0, back_bytes_ = 0, out_front_bytes_ = 0;
};

}  // namespace sluice::openai
