// A deadline that a test which works never sees.
#pragma once

#include <chrono>

#include "net/deadline.h"

namespace sluice::test {

inline net::Deadline soon() { return net::Deadline::after(std::chrono::seconds(10)); }

}  // namespace sluice::test
