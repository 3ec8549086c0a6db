// What a call of Responses set for itself, as its answer repeats it.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"

namespace sluice::translate {

// The most that is repeated of one call: it stands in three events of a stream, and is kept while that runs.
inline constexpr std::size_t kMostSettingsBytes = 64 * 1024;

// Appends members of an object, each with a comma before it: what `body` says of instructions, tools, temperature and so
// on, as it stands, and the API's own defaults for what it does not say, or says at too great length. The shortest are
// kept first. REQUIRES: openai::read_call() took `body`; of an empty one all are defaults.
void append_response_settings(Buffer& out, std::string_view body);

}  // namespace sluice::translate
