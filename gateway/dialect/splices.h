// A body that is edited by splices.
//
//   {"model":"m","stream":true,"max_tokens":9}      original
//    ^ inserted behind '{'    ^ value replaced
//   parts: [{] [scratch: "stream_options":{…},] ["model":"m",…"max_tokens":] [scratch: 5] [}]
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dialect/call_body.h"

namespace sluice::dialect {

// Thread:   one.
// Lifetime: `scratch` outlives the use of the parts; it is EditedBody::scratch.
class Splices final {
 public:
  explicit Splices(WipedString& scratch) noexcept : scratch_(scratch) {}

  // What was appended to the scratch from `begin` on stands where `replaced` stood. REQUIRES: no two overlap; at most
  // kMost.
  static constexpr std::size_t kMost = 8;
  void add(const Member& replaced, std::size_t begin) noexcept {
    splices_[count_++] = {replaced.offset, replaced.length, begin, scratch_.size()};
  }
  // Takes `_meta` out. REQUIRES: what is inserted behind '{' was added before it.
  void cut_labels(const CallBody& call) {
    if (call.labels.cut.present()) add(call.labels.cut, scratch_.size());
  }
  // Ends at or below `most` what caps the client gave.
  void clamp_caps(const CallBody& call, std::uint64_t most);
  // Names the model as `name`, where the body names one; empty: as asked.
  void rename_model(const CallBody& call, std::string_view name);
  void append_number(std::uint64_t number);

  // The parts of the edited body, in order.
  void write(std::string_view body, EditedBody& into) noexcept;

 private:
  // `length` bytes of the body at `offset` give way to scratch[begin, end).
  struct Splice {
    std::size_t offset = 0;
    std::size_t length = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  void sort_by_offset() noexcept;

  WipedString& scratch_;
  std::array<Splice, kMost> splices_{};
  std::size_t count_ = 0;
};

}  // namespace sluice::dialect
