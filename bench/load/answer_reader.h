// Reads one HTTP/1.1 answer as it comes and counts its SSE events, without keeping it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::bench {

// Counts the events of an SSE stream, whatever its split.
class EventCounter final {
 public:
  // Returns how many data events ended within `bytes`; [DONE] is not one.
  std::uint32_t feed(std::string_view bytes) noexcept;
  [[nodiscard]] bool done() const noexcept { return done_; }
  void reset() noexcept { *this = EventCounter(); }

 private:
  char begin_[12] = {};  // of the event under way
  std::uint8_t length_ = 0;
  bool line_ended_ = false;  // the byte before was a line end
  bool done_ = false;
};

enum class Reading : std::uint8_t { kMore, kComplete, kBroken };

// Thread: one. Lifetime: one answer after another, reset() between them.
class AnswerReader final {
 public:
  // Takes `bytes` up to the end of the answer; what stands behind it is not looked at (nothing is pipelined).
  Reading feed(std::string_view bytes);
  void reset() noexcept;

  [[nodiscard]] unsigned status() const noexcept { return status_; }
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
  [[nodiscard]] bool event_stream() const noexcept { return event_stream_; }
  [[nodiscard]] bool stream_done() const noexcept { return events_.done(); }
  [[nodiscard]] std::uint32_t events() const noexcept { return event_count_; }
  [[nodiscard]] bool until_close() const noexcept { return place_ == Place::kUntilClose; }

 private:
  enum class Place : std::uint8_t { kHead, kBody, kChunkSize, kChunk, kChunkEnd, kTrailer, kUntilClose, kEnd };

  bool read_head(std::string_view head) noexcept;
  std::size_t take_chunk_size(std::string_view bytes) noexcept;
  void take_payload(std::string_view bytes) noexcept;

  Place place_ = Place::kHead;
  std::string head_;               // bytes of a head that came in parts
  std::uint64_t left_ = 0;         // of the body, or of the chunk
  std::uint32_t line_length_ = 0;  // of the trailer line under way
  unsigned status_ = 0;
  bool keep_alive_ = true;
  bool event_stream_ = false;
  std::uint32_t event_count_ = 0;
  EventCounter events_;
};

}  // namespace sluice::bench
