#include "openai/repeated_chunk.h"

#include <simdjson.h>

#include <cstring>

#include "openai/chunk.h"
#include "wire/skim.h"

namespace sluice::openai {

std::optional<std::uint64_t> RepeatedChunk::pass(std::string_view data, Buffer& out) const {
  if (kept_.empty() || data.size() < front_bytes_ + back_bytes_) return std::nullopt;
  const std::string_view kept = kept_.view();
  const std::string_view front = kept.substr(0, front_bytes_);
  const std::string_view back = kept.substr(front_bytes_, back_bytes_);
  if (!data.starts_with(front) || !data.ends_with(back)) return std::nullopt;
  const std::string_view inside = data.substr(front.size(), data.size() - front.size() - back.size());
  // The quote that `back` begins with must be the one that ends the string.
  if (wire::skim_string(inside.data(), data.data() + data.size()) != inside.data() + inside.size() + 1)
    return std::nullopt;
  if (!simdjson::validate_utf8(inside.data(), inside.size())) return std::nullopt;
  const std::string_view out_front = kept.substr(front_bytes_ + back_bytes_, out_front_bytes_);
  const std::string_view out_back = kept.substr(front_bytes_ + back_bytes_ + out_front_bytes_);
  const std::size_t size = out_front.size() + inside.size() + out_back.size();
  char* at = out.prepare(size).data();
  std::memcpy(at, out_front.data(), out_front.size());
  std::memcpy(at + out_front.size(), inside.data(), inside.size());
  std::memcpy(at + out_front.size() + inside.size(), out_back.data(), out_back.size());
  out.commit(size);
  return string_bytes(inside);
}

void RepeatedChunk::learn(std::string_view data, std::string_view inside, std::string_view event, std::size_t at) {
  constexpr std::size_t kLongestFrameBytes = 2048;  // what is longer is no frame worth keeping for each stream
  kept_.clear();
  if (data.size() - inside.size() > kLongestFrameBytes) return;
  front_bytes_ = static_cast<std::uint32_t>(inside.data() - data.data());
  back_bytes_ = static_cast<std::uint32_t>(data.size() - inside.size() - front_bytes_);
  out_front_bytes_ = static_cast<std::uint32_t>(at);
  (void)kept_.prepare(data.size() - inside.size() + event.size() - inside.size());
  kept_.append(data.substr(0, front_bytes_));
  kept_.append(data.substr(front_bytes_ + inside.size()));
  kept_.append(event.substr(0, at));
  kept_.append(event.substr(at + inside.size()));
}

}  // namespace sluice::openai
