// What threads behind the request path owe the workers that may share their core.
#pragma once

namespace sluice {

// Names the calling thread (15 characters at most, as top -H shows it).
void name_thread(const char* name) noexcept;

// Lets a worker that waits for this core run now, if the caller's turn is over. Long work calls it every few dozens of
// microseconds: Linux otherwise leaves a thread on its core for up to 4 ms before it looks who else wants to run. A
// turn is 100 µs, or as long as the caller has just been kept away: on a full core, too, it gets its share.
void give_way() noexcept;

}  // namespace sluice
