// A stream as the whole answer that it should have been, for a server that streams unasked.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/wiped_string.h"
#include "dialect/answer.h"
#include "wire/sse_events.h"

namespace sluice::anthropic {

// Thread: one.
class AssembledMessage final : public dialect::Assembly {
 public:
  void take(Buffer& events) override;
  [[nodiscard]] std::size_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] std::string_view error() const noexcept override { return error_; }
  // The message, each block with its strings joined. Not: a stream without message_start, or with a delta that cannot be
  // joined without knowing its form.
  [[nodiscard]] dialect::Converted append_to(Buffer& out) const override;

 private:
  // A member of a block that grows: the inside of a string, escapes and all.
  struct Part {
    std::string_view member;  // static text
    WipedString text;
  };
  struct Block {
    std::uint64_t index = 0;
    WipedString begin;  // as content_block_start has it
    std::vector<Part> parts;
  };

  void take_data(std::string_view data);
  void take_delta(std::uint64_t index, std::string_view delta);
  [[nodiscard]] dialect::Converted append_block(Buffer& out, const Block& block) const;
  void append_usage(Buffer& out) const;

  wire::EventSplitter splitter_;
  Buffer joined_;
  WipedString message_, stop_reason_, stop_sequence_, usage_, error_;  // as they stand in their events
  std::vector<Block> blocks_;
  std::size_t size_bytes_ = 0;
  bool odd_ = false;  // something that cannot be joined
};

}  // namespace sluice::anthropic
