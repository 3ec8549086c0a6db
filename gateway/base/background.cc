#include "base/background.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

namespace sluice {

void name_thread(const char* name) noexcept { (void)::pthread_setname_np(::pthread_self(), name); }

void begin_background(const char* name) noexcept {
  constexpr int kNice = 5;
  name_thread(name);
  (void)::setpriority(PRIO_PROCESS, 0, kNice);  // on Linux: of this thread alone
}

void give_way() noexcept { (void)::sched_yield(); }

}  // namespace sluice
