#include "wire/sse_events.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::wire {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The first CR or LF; null: none.
const char* find_line_end(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i line_feed = _mm_set1_epi8('\n');
  const __m128i carriage_return = _mm_set1_epi8('\r');
  for (; end - at >= 16; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto hits = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, line_feed), _mm_cmpeq_epi8(block, carriage_return))));
    if (hits != 0) return at + std::countr_zero(hits);
  }
#endif
  for (; at < end; ++at) {
    if (*at == '\n' || *at == '\r') return at;
  }
  return nullptr;
}

std::string_view value_of(std::string_view line, std::size_t colon) noexcept {
  line.remove_prefix(colon + 1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

// Takes the first line off `text`, whose lines are all complete.
std::string_view take_line(std::string_view& text) noexcept {
  const char* end = find_line_end(text.data(), text.data() + text.size());
  const std::size_t length = end == nullptr ? text.size() : static_cast<std::size_t>(end - text.data());
  const std::string_view line = text.substr(0, length);
  std::size_t skip = std::min(length + 1, text.size());
  if (length + 1 < text.size() && text[length] == '\r' && text[length + 1] == '\n') ++skip;
  text.remove_prefix(skip);
  return line;
}

}  // namespace

bool EventSplitter::skip_mark(std::string_view& rest) noexcept {
  if (rest.size() < kByteOrderMark.size() && kByteOrderMark.starts_with(rest)) return false;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  mark_checked_ = true;
  return true;
}

std::size_t EventSplitter::behind_line_end(std::string_view rest, std::size_t line_end) noexcept {
  if (rest[line_end] == '\n') return line_end + 1;
  if (line_end + 1 < rest.size()) return line_end + (rest[line_end + 1] == '\n' ? 2 : 1);
  if (line_end != line_begin_) return std::string_view::npos;
  skip_line_feed_ = true;  // a blank line: the event is whole, and must not wait for what may never come
  return line_end + 1;
}

EventSplitter::Found EventSplitter::next(std::string_view& rest, RawEvent& event) noexcept {
  if (!mark_checked_ && !skip_mark(rest)) return Found::kMore;
  if (skip_line_feed_ && !rest.empty()) {
    if (rest.front() == '\n') rest.remove_prefix(1);
    skip_line_feed_ = false;
  }
  while (scanned_ < rest.size()) {
    const char* found = find_line_end(rest.data() + scanned_, rest.data() + rest.size());
    const std::size_t line_end = found == nullptr ? rest.size() : static_cast<std::size_t>(found - rest.data());
    scanned_ = line_end;
    if (found == nullptr) break;
    const std::size_t next_line = behind_line_end(rest, line_end);
    if (next_line == std::string_view::npos) break;
    if (line_end != line_begin_) {
      if (lines_++ == 0) first_line_bytes_ = line_end;
      line_begin_ = scanned_ = next_line;
      continue;
    }
    event = {rest.substr(0, line_begin_), first_line_bytes_, lines_ == 1};
    rest.remove_prefix(next_line);
    const bool blank = lines_ == 0;
    scanned_ = line_begin_ = lines_ = 0;
    if (!blank) return Found::kEvent;
    if (skip_line_feed_) break;
  }
  return Found::kMore;
}

SseEvent read_event(const RawEvent& raw, Buffer& joined) {
  SseEvent event;
  if (raw.one_line && raw.text.starts_with("data:")) {
    event.data = value_of(raw.text.substr(0, raw.first_line_bytes), 4);
    return event;
  }
  std::size_t data_lines = 0;
  joined.clear();
  for (std::string_view text = raw.text; !text.empty();) {
    const std::string_view line = take_line(text);
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view field = line.substr(0, colon);
    if (line.starts_with('{') && data_lines == 0) {
      return {{}, line, true};
    }
    if (field == "event") {
      event.name = colon == line.size() ? std::string_view() : value_of(line, colon);
    } else if (field == "data") {
      const std::string_view value = colon == line.size() ? std::string_view() : value_of(line, colon);
      if (data_lines++ == 0) {
        event.data = value;
        continue;
      }
      if (data_lines == 2) joined.append(event.data);
      joined.append("\n");
      joined.append(value);
    }
  }
  if (data_lines > 1) event.data = joined.view();
  return event;
}

void append_event(Buffer& out, std::string_view name, std::string_view data) {
  constexpr std::string_view kEvent = "event: ";
  constexpr std::string_view kData = "data: ";
  if (!name.empty()) {
    out.append(kEvent);
    out.append(name);
    out.append("\n");
  }
  for (;;) {
    const void* found = std::memchr(data.data(), '\n', data.size());
    const std::size_t length =
        found == nullptr ? data.size() : static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    char* at = out.prepare(kData.size() + length + 2).data();
    std::memcpy(at, kData.data(), kData.size());
    std::memcpy(at + kData.size(), data.data(), length);
    at[kData.size() + length] = '\n';
    at[kData.size() + length + 1] = '\n';
    if (found == nullptr) {
      out.commit(kData.size() + length + 2);
      return;
    }
    out.commit(kData.size() + length + 1);
    data.remove_prefix(length + 1);
  }
}

}  // namespace sluice::wire
