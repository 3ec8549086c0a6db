// Server-sent events (WHATWG HTML, 9.2): bytes into events, in linear time whatever the split, and events into bytes.
//
//   [BOM] *( *( field ":" [SP] value EOL ) EOL )      EOL = LF | CRLF | CR
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace sluice::wire {

// The lines of one event, as they arrived, without the blank line that ends it.
struct RawEvent {
  std::string_view text;
  std::size_t first_line_bytes = 0;  // without its end
  bool one_line = false;
};

// Finds events in a growing run of bytes.
// Thread:   one.
// Lifetime: between two calls the front of `rest` stays, bytes may be added behind it.
class EventSplitter final {
 public:
  enum class Found : std::uint8_t { kEvent, kMore };

  // Moves `rest` behind the next whole event and gives its lines; kMore: what is left in `rest` must be shown again
  // with more behind it. Nothing is looked at twice.
  [[nodiscard]] Found next(std::string_view& rest, RawEvent& event) noexcept;

 private:
  bool skip_mark(std::string_view& rest) noexcept;
  // Where the next line starts; npos: not known before more has come.
  [[nodiscard]] std::size_t behind_line_end(std::string_view rest, std::size_t line_end) noexcept;

  std::size_t scanned_ = 0;
  std::size_t line_begin_ = 0;
  std::size_t lines_ = 0;
  std::size_t first_line_bytes_ = 0;
  bool mark_checked_ = false;    // a byte order mark can stand at the very start alone
  bool skip_line_feed_ = false;  // the CR that ended the last event may be half of a CRLF
};

// What an event says. id: and retry: are left out on purpose (CONTRACT §1: SDKs trip over them).
struct SseEvent {
  std::string_view name;    // of event:, empty: none
  std::string_view data;    // lines joined by LF; empty: nothing to hand on
  bool stray_json = false;  // `data` is a line that starts with a brace and has no field name: native errors of Ollama
};

// Reads the lines of an event. `joined` gets the data where it has several lines; `data` points into it then.
[[nodiscard]] SseEvent read_event(const RawEvent& raw, Buffer& joined);

// Appends an event with LF line ends: "event: NAME" if it has a name, then its data.
void append_event(Buffer& out, std::string_view name, std::string_view data);

}  // namespace sluice::wire
