// What is odd and is said once in the log, however many calls it meets: what model servers tell of their usage that cannot
// be right (once for each place and model), more headers of a call than are passed on, an agent at a listener that
// takes none, and what refuses the gateway's credentials (once a minute for each place).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/clock.h"
#include "base/usage.h"
#include "dialect/usage_reader.h"
#include "observe/log.h"
#include "upstream/place.h"

namespace sluice::proxy {

// Thread:   any; takes no lock. Shared by all workers, so that once is once.
// Lifetime: the log outlives it.
class Doubts final {
 public:
  explicit Doubts(observe::Log& log) noexcept : log_(log) {}

  // `told` by the model server; the call can have used at most `limit`. Of what one place tells of one model, each kind
  // of doubt is logged once.
  void tell(dialect::UsageDoubt doubt, std::string_view place, std::string_view model, const Usage& told,
            const dialect::ClaimLimit& limit) noexcept;
  // A call had more than `most` headers that [route] forward_headers and scoped_headers name. Logged for the first alone.
  void tell_left_out(std::string_view request_id, std::size_t most) noexcept;
  // An agent dialled `listener`, whose tunnels are off. Logged once for each listener.
  void tell_turned_away(std::string_view listener) noexcept;
  // `place` answered `status`: it refuses the key that it is shown, or the account behind that.
  void tell_refused_credentials(const upstream::Place& place, unsigned status, MonoTime now) noexcept;

 private:
  enum class Told : std::uint8_t { kFirst, kAgain };
  Told remember(std::uint64_t hash) noexcept;
  // When something is told of the place with this hash again. Where no cell is free, two places share one.
  std::atomic<MonoTime::rep>& next_told_of(std::uint64_t place) noexcept;

  observe::Log& log_;
  std::atomic<bool> left_out_told_{false};
  // Hashes of what was logged; 0: free. What finds no room any more is not logged.
  std::array<std::atomic<std::uint64_t>, 1024> logged_{};
  struct Refusing {
    std::atomic<std::uint64_t> place{0};  // a hash of its name; 0: free
    std::atomic<MonoTime::rep> next{std::numeric_limits<MonoTime::rep>::min()};
  };
  std::array<Refusing, 256> refusing_{};
};

}  // namespace sluice::proxy
