// Which of a model's places a call goes to: rank by rank as its route says, in a rank as the weights say, and among
// equals the better of two that are drawn, by how full they are and how soon their streams begin. What a breaker has
// ejected is left out while anything else is there.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "upstream/models.h"
#include "upstream/pool.h"

namespace sluice::upstream {

// A slot that was taken.
struct Chosen {
  const std::shared_ptr<Place>* place = nullptr;
  const std::shared_ptr<Standing>* standing = nullptr;  // null: nobody keeps any
  std::uint32_t endpoint = Wanted::kNone;
};

// One worker's choosing.
// Thread:   owning worker only.
// Lifetime: of one choice; model and places outlive it.
class Choice final {
 public:
  // `upstreams`: the worker's own places, by number. `random`: its dice, changed by each throw.
  Choice(const KnownModel& model, std::span<const std::shared_ptr<Place>> upstreams, const Wanted& wanted,
         std::span<const Place* const> tried, std::uint64_t& random) noexcept;

  // Takes a slot, or says why there is none. Where every place that could take the call is ejected or asked for a pause,
  // the one whose time is over first is called all the same: to refuse everybody would help nobody.
  [[nodiscard]] Supply take(Chosen& chosen) noexcept;

  // The same without taking any: kFull also where one is free.
  [[nodiscard]] Supply look() noexcept;

  // One line for each place of the model, in the order of the route.
  [[nodiscard]] std::vector<PlaceLine> explain();

 private:
  // What stands against a place, the worst first.
  enum class Fit : std::uint8_t { kNobodys, kNotTaken, kAway, kTried, kFull, kEjected, kHeldOff, kTrial, kWell };
  struct Seen {
    Fit fit = Fit::kNobodys;
    std::uint32_t endpoint = Wanted::kNone;
  };
  [[nodiscard]] Seen see(std::uint32_t at) noexcept;
  [[nodiscard]] const std::shared_ptr<Place>* place(std::uint32_t at) const noexcept;
  [[nodiscard]] Standing* standing(std::uint32_t at) const noexcept;
  [[nodiscard]] MonoTime now() noexcept;
  [[nodiscard]] std::uint32_t dice(std::uint32_t sides) noexcept;
  [[nodiscard]] std::size_t ranks() const noexcept;
  [[nodiscard]] std::uint32_t size(std::size_t rank) const noexcept;
  [[nodiscard]] std::uint32_t at(std::size_t rank, std::uint32_t option) const noexcept;
  [[nodiscard]] std::uint32_t draw(std::size_t rank) noexcept;
  [[nodiscard]] double cost(std::uint32_t at) noexcept;
  bool try_rank(std::size_t rank, Chosen& chosen) noexcept;
  bool try_drawn(std::size_t rank, Chosen& chosen) noexcept;
  bool grab(std::uint32_t at, Seen seen, Chosen& chosen) noexcept;
  Supply settle_for_less(Chosen* chosen) noexcept;
  [[nodiscard]] std::string words_of(std::uint32_t at);

  const KnownModel& model_;
  std::span<const std::shared_ptr<Place>> upstreams_;
  const Wanted& wanted_;
  std::span<const Place* const> tried_;
  std::uint64_t& random_;
  const Ranks* route_ = nullptr;  // null: all places in one rank
  MonoTime now_{};                // looked at where it is needed
};

}  // namespace sluice::upstream
