// A stream on its way through a dialect's filter, as an exchange sends it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/answer.h"

namespace sluice::test {

struct Filtered {
  std::string out;
  dialect::StreamState state = dialect::StreamState::kOpen;
  Usage usage;
  std::uint64_t counted = 0;
  std::string model;
  std::optional<dialect::UsageReading> told;
};

using Pieces = std::vector<std::string_view>;
inline Pieces cut_at(std::string_view in, std::size_t place) { return {in.substr(0, place), in.substr(place)}; }
inline Pieces cut_every(std::string_view in, std::size_t step) {
  Pieces pieces;
  for (std::size_t at = 0; at < in.size(); at += step) pieces.push_back(in.substr(at, step));
  return pieces;
}

// Then the stream ends. `prompt_estimate`: for the usage.
inline Filtered send_through(dialect::EventFilter& filter, const Pieces& pieces, std::uint64_t prompt_estimate) {
  using dialect::StreamState;
  Buffer arrived, out;
  Filtered filtered;
  for (const std::string_view piece : pieces) {
    arrived.append(piece);
    filtered.state = filter.filter(arrived, out);
  }
  if (filtered.state == StreamState::kOpen || filtered.state == StreamState::kDone) filtered.state = filter.finish(out);
  filtered.out = out.view();
  filtered.usage = filter.usage(prompt_estimate);
  filtered.counted = filter.completion_tokens();
  filtered.model = filter.model();
  filtered.told = filter.told();
  return filtered;
}

}  // namespace sluice::test
