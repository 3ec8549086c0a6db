// Writes server-sent events as text, in all the odd forms that servers have.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "demo/faults.h"
#include "demo/gzip.h"

namespace sluice::demo {

// Collects events until they are taken.
class EventText final {
 public:
  explicit EventText(const Faults& faults) noexcept;

  // One event; its data is the parts one after another. `name` empty: no event: line.
  void event(std::string_view name, std::initializer_list<std::string_view> data);
  // Bytes as they are.
  void raw(std::string_view bytes) { pending_ += bytes; }
  // No more follows.
  void finish();

  // What is to be sent now. Valid until cleared.
  [[nodiscard]] std::string_view bytes();
  void clear() noexcept;

 private:
  const Faults& faults_;
  const bool plain_;
  std::string_view line_end_ = "\n";
  std::string pending_;
  std::string compressed_;
  StoredGzip gzip_;
  std::uint64_t events_ = 0;
};

}  // namespace sluice::demo
