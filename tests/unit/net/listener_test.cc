// Listening sockets: who may have an address, and what becomes of connections that nobody has accepted yet.
#include "net/listener.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

const Endpoint kAnyPort(asio::ip::address_v4::loopback(), 0);

TEST(Listener, HandsOverWhatTheKernelHasTakenBeforeItCloses) {
  Loop loop;
  const auto listener = Listener::open(loop, kAnyPort);
  ASSERT_TRUE(listener.ok()) << listener.status();
  asio::io_context io;
  asio::ip::tcp::socket one(io), two(io);
  one.connect((*listener)->endpoint());
  two.connect((*listener)->endpoint());
  int handed_over = 0;
  (*listener)->accept_waiting([&](Socket) { ++handed_over; });
  (*listener)->close();
  EXPECT_EQ(handed_over, 2);
  (*listener)->accept_waiting([&](Socket) { ++handed_over; });
  EXPECT_EQ(handed_over, 2) << "a closed one has none";
}

TEST(Listener, TellsAnAddressInUseFromOneThatCannotBeHad) {
  Loop loop;
  const auto listener = Listener::open(loop, kAnyPort);
  ASSERT_TRUE(listener.ok()) << listener.status();
  const Endpoint taken = (*listener)->endpoint();
  EXPECT_TRUE(absl::IsUnavailable(check_free(taken))) << check_free(taken);
  const Endpoint elsewhere(asio::ip::make_address("192.0.2.1"), 8443);
  EXPECT_TRUE(absl::IsFailedPrecondition(check_free(elsewhere))) << check_free(elsewhere);
  (*listener)->close();
  EXPECT_TRUE(check_free(taken).ok());
}

}  // namespace
}  // namespace sluice::net
