// The faults of real model servers, by name: what CONTRACT §2 lists, each to be switched on by a request header
// ("x-demo-fault: NAME[=ARG][,NAME…]"), by a suffix of the model's name ("demo-model:fault=NAME+NAME"; gateways drop
// headers that they do not know), or for all requests on the command line.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::demo {

enum class Fault : std::uint8_t {
  kNoDone,
  kErrorInStream,
  kErrorNull,
  kFlatError,
  kStringError,
  kHtmlError,
  kEmptyError,
  kIntegerCode,
  kOkError,
  kStatus,
  kRetryAfter,
  kPings,
  kIds,
  kBom,
  kCrlf,
  kCr,
  kSilence,
  kSlowHead,
  kCumulativeUsage,
  kUsageOnLastChunk,
  kUnaskedUsage,
  kZeroUsage,
  kNoUsage,
  kDieMidStream,
  kEofMidStream,
  kBigEvent,
  kContextOverflow,
  kOllamaSilentFailure,
  kNotJson,
  kEmptyFinish,
  kGzip,
  kRefuse,
  kRedirect,
  // Not faults, but set the same way: what one request may choose.
  kTokens,
  kPace,
  kCount,
};

struct FaultRow {
  Fault fault;
  std::string_view name;
  std::string_view argument;  // what it is without "=…"
  std::string_view says;      // one line for --help
};
[[nodiscard]] std::span<const FaultRow> fault_rows() noexcept;

// A set of faults with their arguments.
class Faults final {
 public:
  // Adds "NAME[=ARG]" parts separated by ',' or '+'. False: a name is unknown; those before it have been added.
  [[nodiscard]] bool add(std::string_view text);

  [[nodiscard]] bool has(Fault fault) const noexcept { return set_[index(fault)]; }
  [[nodiscard]] std::string_view argument(Fault fault) const noexcept { return arguments_[index(fault)]; }
  [[nodiscard]] std::uint64_t number(Fault fault) const noexcept;
  [[nodiscard]] double seconds(Fault fault) const noexcept;
  [[nodiscard]] bool none() const noexcept { return set_.none(); }

 private:
  static constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::kCount);
  static constexpr std::size_t index(Fault fault) noexcept { return static_cast<std::size_t>(fault); }

  std::bitset<kFaults> set_;
  std::array<std::string, kFaults> arguments_;
};

}  // namespace sluice::demo
