#include "openai/repeated_chunk.h"

#include <simdjson.h>

#include <cstring>

#include "openai/chunk.h"
#include "openai/skim.h"

namespace sluice::openai {

std::optional<std::uint64_t> RepeatedChunk::pass(std::string_view data, Buffer& out) const {
  const std::string_view front = front_.view();
  const std::string_view back = back_.view();
  if (back.empty() || data.size() < front.size() + back.size()) return std::nullopt;
  if (!data.starts_with(front) || !data.ends_with(back)) return std::nullopt;
  const std::string_view inside = data.substr(front.size(), data.size() - front.size() - back.size());
  // The quote that `back` begins with must be the one that ends the string.
  if (skim_string(inside.data(), data.data() + data.size()) != inside.data() + inside.size() + 1) return std::nullopt;
  if (!simdjson::validate_utf8(inside.data(), inside.size())) return std::nullopt;
  const std::size_t size = out_front_.size() + inside.size() + out_back_.size();
  char* at = out.prepare(size).data();
  std::memcpy(at, out_front_.data(), out_front_.size());
  std::memcpy(at + out_front_.size(), inside.data(), inside.size());
  std::memcpy(at + out_front_.size() + inside.size(), out_back_.data(), out_back_.size());
  out.commit(size);
  return string_bytes(inside);
}

void RepeatedChunk::learn(std::string_view data, std::string_view inside, std::string_view event, std::size_t at) {
  constexpr std::size_t kLongestFrameBytes = 2048;  // what is longer is no frame worth keeping for each stream
  front_.clear();
  back_.clear();
  out_front_.clear();
  out_back_.clear();
  if (data.size() - inside.size() > kLongestFrameBytes) return;
  const auto begin = static_cast<std::size_t>(inside.data() - data.data());
  front_.append(data.substr(0, begin));
  back_.append(data.substr(begin + inside.size()));
  out_front_.append(event.substr(0, at));
  out_back_.append(event.substr(at + inside.size()));
}

}  // namespace sluice::openai
