#include "wire/sse_events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sluice::wire {
namespace {

// "name=data" of each event, with `text` shown `step` bytes more at a time.
std::vector<std::string> events_of(std::string_view text, std::size_t step) {
  std::vector<std::string> events;
  EventSplitter splitter;
  Buffer joined;
  std::size_t consumed = 0;
  for (std::size_t shown = step;; shown += step) {
    std::string_view rest = text.substr(consumed, std::min(shown, text.size()) - consumed);
    RawEvent raw;
    while (splitter.next(rest, raw) == EventSplitter::Found::kEvent) {
      const SseEvent event = read_event(raw, joined);
      events.push_back(std::string(event.name) + "=" + std::string(event.data));
    }
    consumed = std::min(shown, text.size()) - rest.size();
    if (shown >= text.size()) return events;
  }
}

TEST(EventSplitter, FindsTheSameEventsWhateverTheSplit) {
  constexpr std::string_view kText =
      "\xEF\xBB\xBF"
      "data: one\n\n: a comment\r\n\r\nevent: e\rdata:two\rdata: lines\r\rid: 7\ndata: three\n\ndata: cut off\n";
  const std::vector<std::string> expected = {"=one", "=", "e=two\nlines", "=three"};
  for (std::size_t step = 1; step <= kText.size(); ++step) EXPECT_EQ(events_of(kText, step), expected) << step;
}

TEST(AppendEvent, WritesWhatASplitterReads) {
  Buffer out;
  append_event(out, "ping", "{}");
  append_event(out, {}, "[DONE]");
  EXPECT_EQ(out.view(), "event: ping\ndata: {}\n\ndata: [DONE]\n\n");
  EXPECT_EQ(events_of(out.view(), out.size()), (std::vector<std::string>{"ping={}", "=[DONE]"}));
}

}  // namespace
}  // namespace sluice::wire
