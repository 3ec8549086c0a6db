// The thread for what takes the store long: a fault in its work is an error, and its end waits for nothing.
#include "admin/store_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "store/sqlite_store.h"
#include "support/loop_runner.h"
#include "unit/scratch.h"

namespace sluice::admin {
namespace {

using Work = std::function<absl::Status(store::Store&)>;

struct StoreThreadTest : test::LoopTest {
  Scratch scratch;
  StoreThread thread{loop, store::make_sqlite_reader(scratch.file("sluice.db"))};
};

Task<void> keep(StoreThread& thread, Work work, std::optional<absl::Status>& into) { into = co_await thread.run(work); }

TEST_F(StoreThreadTest, AFaultInItsWorkIsAnErrorAndTheThreadGoesOn) {
  const Work faulty = [](store::Store&) -> absl::Status { throw std::runtime_error("out of luck"); };
  const absl::Status failed = run(thread.run(faulty));
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_NE(failed.message().find("out of luck"), std::string_view::npos) << failed;
  const Work good = [](store::Store&) { return absl::OkStatus(); };
  EXPECT_TRUE(run(thread.run(good)).ok());
}

TEST_F(StoreThreadTest, WhatWaitsForItsTurnEndsWithIt) {
  std::promise<void> begun, release;
  const Work slow = [&](store::Store&) {
    begun.set_value();
    release.get_future().wait();
    return absl::OkStatus();
  };
  const Work never = [](store::Store&) -> absl::Status {
    ADD_FAILURE() << "its turn came";
    return absl::OkStatus();
  };
  std::optional<absl::Status> first, second, third;
  group.spawn(keep(thread, slow, first));
  group.spawn(keep(thread, never, second));
  poll();
  begun.get_future().wait();
  thread.end();
  group.spawn(keep(thread, never, third));
  poll();
  EXPECT_TRUE(second && absl::IsCancelled(*second));
  EXPECT_TRUE(third && absl::IsCancelled(*third));
  EXPECT_FALSE(first);
  release.set_value();
  drain();
  EXPECT_TRUE(first && first->ok());
}

}  // namespace
}  // namespace sluice::admin
