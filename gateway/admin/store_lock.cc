#include "admin/store_lock.h"

#include "net/signal.h"

namespace sluice::admin {
namespace {

constexpr std::chrono::seconds kLockTime{5};
constexpr std::chrono::milliseconds kLockPause{20};

}  // namespace

Task<absl::Status> await_change(store::Store& store, net::Loop& loop) {
  net::Signal pause(loop);
  const net::Deadline until = net::Deadline::after(kLockTime);
  for (;;) {
    const absl::Status now = store.may_change();
    if (!absl::IsUnavailable(now)) co_return now;
    if (until.passed())
      co_return absl::UnavailableError(
          "nothing was changed: another program holds the store locked; end it, or try again later (" +
          std::string(now.message()) + ")");
    (void)co_await pause.wait(net::Deadline::after(kLockPause));
  }
}

}  // namespace sluice::admin
