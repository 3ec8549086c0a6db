#include "wire/parser.h"

#include "wire/json_value.h"

namespace sluice::wire {

Parser::Parser() : memory_(std::make_unique<ParserMemory>()) {}
Parser::~Parser() = default;

void Parser::trim() {
  constexpr std::size_t kKeptBytes = 4 * 1024 * 1024;
  if (memory_->parser.capacity() > kKeptBytes) memory_->parser = ondemand::parser();
}

}  // namespace sluice::wire
