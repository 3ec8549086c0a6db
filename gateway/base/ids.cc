#include "base/ids.h"

#include <random>

namespace sluice {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

}  // namespace

std::uint64_t random_id() noexcept {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

std::string_view write_hex(std::uint64_t value, std::span<char> into) noexcept {
  for (std::size_t i = 16; i-- != 0; value >>= 4) into[i] = kDigits[value & 15];
  return {into.data(), 16};
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace sluice
