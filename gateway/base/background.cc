#include "base/background.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>

#include "base/clock.h"

namespace sluice {

void name_thread(const char* name) noexcept { (void)::pthread_setname_np(::pthread_self(), name); }

void give_way() noexcept {
  constexpr std::chrono::microseconds kTurn{100};
  thread_local MonoTime turn_ends;
  const MonoTime began = Mono::now();
  if (began < turn_ends) return;
  (void)::sched_yield();
  const MonoTime back = Mono::now();
  turn_ends = back + std::max<Mono::duration>(kTurn, back - began);
}

}  // namespace sluice
