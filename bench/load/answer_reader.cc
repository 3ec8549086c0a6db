#include "load/answer_reader.h"

#include <strings.h>

#include <algorithm>
#include <cstring>

namespace sluice::bench {
namespace {

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::uint32_t EventCounter::feed(std::string_view bytes) noexcept {
  std::uint32_t ended = 0;
  while (!bytes.empty()) {
    if (line_ended_ && bytes.front() == '\n') {
      const std::string_view begin(begin_, length_);
      if (begin.starts_with("data: [DONE]")) {
        done_ = true;
      } else if (!begin.empty() && begin.front() != ':') {
        ++ended;
      }
      length_ = 0;
      line_ended_ = false;
      bytes.remove_prefix(1);
      continue;
    }
    const void* end = std::memchr(bytes.data(), '\n', bytes.size());
    const std::size_t line =
        end == nullptr ? bytes.size() : static_cast<std::size_t>(static_cast<const char*>(end) - bytes.data()) + 1;
    const std::size_t kept = std::min(line, sizeof(begin_) - length_);
    std::memcpy(begin_ + length_, bytes.data(), kept);
    length_ = static_cast<std::uint8_t>(length_ + kept);
    line_ended_ = end != nullptr;
    bytes.remove_prefix(line);
  }
  return ended;
}

void AnswerReader::reset() noexcept {
  place_ = Place::kHead;
  head_.clear();
  left_ = 0;
  line_length_ = 0;
  status_ = 0;
  keep_alive_ = true;
  event_stream_ = false;
  event_count_ = 0;
  events_.reset();
}

bool AnswerReader::read_head(std::string_view head) noexcept {
  if (head.size() < 12 || !head.starts_with("HTTP/1.")) return false;
  status_ = static_cast<unsigned>(std::atoi(head.data() + 9));
  place_ = Place::kUntilClose;
  keep_alive_ = head[7] == '1';
  bool length_given = false;
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    at = end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (same_name(name, "content-length")) {
      left_ = std::strtoull(value.data(), nullptr, 10);
      length_given = true;
    } else if (same_name(name, "transfer-encoding")) {
      place_ = Place::kChunkSize;
    } else if (same_name(name, "connection")) {
      keep_alive_ = !same_name(value, "close");
    } else if (same_name(name, "content-type")) {
      event_stream_ = value.starts_with("text/event-stream");
    }
  }
  if (place_ == Place::kUntilClose && length_given) place_ = left_ == 0 ? Place::kEnd : Place::kBody;
  if (place_ == Place::kUntilClose) keep_alive_ = false;
  if (place_ == Place::kChunkSize) left_ = 0;
  return true;
}

std::size_t AnswerReader::take_chunk_size(std::string_view bytes) noexcept {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\n') {
      place_ = left_ == 0 ? Place::kTrailer : Place::kChunk;
      line_length_ = 0;
      return i + 1;
    }
    const int digit = hex_digit(bytes[i]);
    if (digit >= 0) left_ = left_ * 16 + static_cast<unsigned>(digit);
  }
  return bytes.size();
}

void AnswerReader::take_payload(std::string_view bytes) noexcept {
  left_ -= bytes.size();
  if (event_stream_) event_count_ += events_.feed(bytes);
}

Reading AnswerReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t taken = 0;
    switch (place_) {
      case Place::kHead: {
        const std::size_t before = head_.size();
        head_.append(bytes);
        const std::size_t end = head_.find("\r\n\r\n");
        if (end == std::string::npos) return head_.size() > 65'536 ? Reading::kBroken : Reading::kMore;
        if (!read_head(std::string_view(head_).substr(0, end + 2))) return Reading::kBroken;
        taken = end + 4 - before;
        break;
      }
      case Place::kBody:
      case Place::kChunk:
        taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
        take_payload(bytes.substr(0, taken));
        if (left_ == 0) place_ = place_ == Place::kBody ? Place::kEnd : Place::kChunkEnd;
        break;
      case Place::kChunkEnd:
        taken = 1;
        if (bytes.front() == '\n') place_ = Place::kChunkSize;
        break;
      case Place::kChunkSize:
        taken = take_chunk_size(bytes);
        break;
      case Place::kTrailer:
        taken = 1;
        if (bytes.front() == '\n') {
          if (line_length_ == 0) place_ = Place::kEnd;
          line_length_ = 0;
        } else if (bytes.front() != '\r') {
          ++line_length_;
        }
        break;
      case Place::kUntilClose:
        left_ = bytes.size();
        take_payload(bytes);
        return Reading::kMore;
      case Place::kEnd:
        return Reading::kBroken;
    }
    bytes.remove_prefix(taken);
    if (place_ == Place::kEnd) return Reading::kComplete;
  }
  return Reading::kMore;
}

}  // namespace sluice::bench
