// Linked into the programs that tests/CMakeLists.txt declares to have one thread: whoever starts a second one, in whatever
// library, comes here instead of the C library. TSan does not see these programs, so the declaration has to stay true.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>

extern "C" int pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) noexcept {
  std::fputs("a second thread in a program with one: take its folder from one_thread in tests/CMakeLists.txt\n",
             stderr);
  std::abort();
}
