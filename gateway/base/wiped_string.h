// Text of requests and answers: a string whose memory is wiped before it is given back.
#pragma once

#include <string>

#include "base/bytes.h"

namespace sluice {

using WipedString = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

}  // namespace sluice
