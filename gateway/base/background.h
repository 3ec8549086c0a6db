// What threads behind the request path owe the workers that may share their core.
#pragma once

namespace sluice {

// Names the calling thread (15 characters at most, as top -H shows it).
void name_thread(const char* name) noexcept;

// Names it and lowers its weight: on a full core it gets a third of a worker's share.
void begin_background(const char* name) noexcept;

// Lets a worker that waits for this core run now. Work of more than some 100 µs calls it in between: Linux otherwise
// leaves a thread on its core for up to 3 ms (the base slice of EEVDF) before it looks who else wants to run.
void give_way() noexcept;

}  // namespace sluice
