#include "journal/format1.h"

#include <xxhash.h>

#include <cstring>

namespace sluice::journal::format1 {
namespace {

// 40 bits: a trillion tokens.
struct [[gnu::packed]] Tokens40 {
  std::uint32_t low;
  std::uint8_t high;
  [[nodiscard]] std::uint64_t value() const noexcept { return static_cast<std::uint64_t>(high) << 32 | low; }
};

struct Admit {
  std::uint64_t prompt_estimate, reserved_output;
  std::uint32_t price_prompt, price_cached, price_completion, price_reasoning;
};
struct [[gnu::packed]] Settle {
  Tokens40 prompt, cached, completion, reasoning;
  std::uint64_t cost_micros;
  std::uint32_t settled_in;
};
static_assert(sizeof(Admit) == 32 && sizeof(Settle) == 32);

template <class T>
T part_of(const char* bytes) noexcept {
  T part;
  std::memcpy(&part, bytes + kCommonBytes, sizeof(part));
  return part;
}

}  // namespace

Read read_slot(const char* bytes, std::uint64_t salt, std::uint64_t index, SlotBytes& into) noexcept {
  char copy[kSlotBytes];  // of one moment: the file may be written to beside us
  std::memcpy(copy, bytes, sizeof(copy));
  into = SlotBytes{};
  std::memcpy(static_cast<void*>(&into), copy, kCommonBytes);
  const std::uint64_t sum =
      XXH3_64bits_withSeed(copy + sizeof(into.checksum), sizeof(copy) - sizeof(into.checksum), salt ^ index);
  if ((sum == 0 ? 1 : sum) != into.checksum) return Read::kTorn;
  if (into.kind == RecordKind::kAdmit) {
    const auto admit = part_of<Admit>(copy);
    into.admit = {.prompt_estimate = admit.prompt_estimate,
                  .reserved_output = admit.reserved_output,
                  .price_prompt = admit.price_prompt,
                  .price_cached = admit.price_cached,
                  .price_completion = admit.price_completion,
                  .price_reasoning = admit.price_reasoning};
  } else if (into.kind == RecordKind::kProgress) {
    into.progress = {.completion_tokens = part_of<std::uint64_t>(copy)};
  } else {
    const auto settle = part_of<Settle>(copy);
    into.settle = SettlePart{};
    into.settle.prompt = settle.prompt.value();
    into.settle.cached = settle.cached.value();
    into.settle.completion = settle.completion.value();
    into.settle.reasoning = settle.reasoning.value();
    into.settle.cost_micros = settle.cost_micros;
    into.settle.upstream_cost_micros = kCostUnknown;
    into.settle.ttft_us = AuditRecord().ttft.count();  // until read_numbers(): 0 would be a time
    into.settle.settled_in = settle.settled_in;
  }
  return Read::kRecord;
}

void read_numbers(std::string_view text, SettlePart& into) noexcept {
  if (text.size() < kTextNumbers) return;
  const char* at = text.data();
  const auto take = [&at](auto& number) {
    std::memcpy(&number, at, sizeof(number));
    at += sizeof(number);
  };
  take(into.ttft_us), take(into.duration_us), take(into.bytes_in), take(into.bytes_out);
}

}  // namespace sluice::journal::format1
