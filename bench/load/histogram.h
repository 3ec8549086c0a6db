// A log-linear histogram of durations in nanoseconds, in the manner of HdrHistogram: 128 buckets per power of two, so a
// value is known to better than 1 %, from 1 ns to 4.6 h, with no allocation after construction.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace sluice::bench {

// Thread: one at a time; merge() brings several together.
class Histogram final {
 public:
  Histogram() : counts_(kBuckets, 0) {}

  void record(std::uint64_t nanoseconds) noexcept {
    ++counts_[std::min(index_of(nanoseconds), kBuckets - 1)];
    ++count_;
    sum_ += nanoseconds;
    max_ = std::max(max_, nanoseconds);
  }

  // The smallest recorded bucket below which `quantile` (0…1) of all values lie; 0 without values.
  [[nodiscard]] std::uint64_t at(double quantile) const noexcept {
    if (count_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(quantile * static_cast<double>(count_ - 1)) + 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= rank) return std::min(middle_of(i), max_);
    }
    return max_;
  }

  void merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  [[nodiscard]] double mean() const noexcept {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

 private:
  static constexpr unsigned kBits = 7;
  static constexpr std::size_t kLinear = 1U << kBits;
  static constexpr std::size_t kBuckets = (44 - kBits + 1) * kLinear;

  static std::size_t index_of(std::uint64_t value) noexcept {
    if (value < kLinear) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (static_cast<std::size_t>(shift) + 1) * kLinear + static_cast<std::size_t>((value >> shift) - kLinear);
  }
  static std::uint64_t middle_of(std::size_t index) noexcept {
    if (index < kLinear) return index;
    const std::size_t shift = index / kLinear - 1;
    const std::uint64_t low = static_cast<std::uint64_t>(index % kLinear + kLinear) << shift;
    return low + ((std::uint64_t{1} << shift) >> 1);
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace sluice::bench
