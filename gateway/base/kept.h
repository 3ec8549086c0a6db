// What a model server keeps for a user, as far as the gateway knows whose each is.
#pragma once

#include <cstdint>

namespace sluice {

// The numbers stand in stores: none is given to another later.
enum class Kept : std::uint8_t { kResponse = 0, kFile = 1, kBatch = 2 };

}  // namespace sluice
