// The memory that bodies are parsed in, kept from one call to the next.
#pragma once

#include <memory>

namespace sluice::wire {

struct ParserMemory;  // simdjson's; in wire/json_value.h

// Thread: one at a time; a worker keeps its own.
class Parser final {
 public:
  Parser();
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  [[nodiscard]] ParserMemory& memory() noexcept { return *memory_; }
  // Behind each use. The index is several times as large as the body: what one large call needed is given back.
  void trim();

 private:
  std::unique_ptr<ParserMemory> memory_;
};

}  // namespace sluice::wire
