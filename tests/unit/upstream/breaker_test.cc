// When a place is ejected, when it is tried again, and what brings it back.
#include "upstream/breaker.h"

#include <gtest/gtest.h>

#include "upstream/standing.h"

namespace sluice::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct BreakerTest : testing::Test {
  MonoTime now = MonoTime(std::chrono::hours(1));
  BreakerSettings settings;
  Breaker breaker;

  Flip fail(Fault fault = Fault::kConnect) { return breaker.failed(now, now, fault, settings); }
  Flip succeed() { return breaker.succeeded(now, now, settings); }
  void eject() {
    for (std::uint32_t i = 1; i < settings.failures; ++i) ASSERT_EQ(fail(), Flip::kNone);
    ASSERT_EQ(fail(), Flip::kEjected);
  }
  Breaker::Gate gate(MonoTime healthy = MonoTime::max()) const { return breaker.gate(now, healthy); }
};

TEST_F(BreakerTest, SoManyFailuresInARowEjectAPlaceAndOneFewerDoesNot) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(fail(), Flip::kNone);
  EXPECT_EQ(succeed(), Flip::kNone);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(fail(), Flip::kNone);
  EXPECT_TRUE(breaker.well());
  EXPECT_EQ(fail(Fault::kStatus), Flip::kEjected);
  EXPECT_FALSE(breaker.well());
  EXPECT_EQ(gate(), Breaker::Gate::kEjected);
  EXPECT_EQ(breaker.fault(), Fault::kStatus);
  EXPECT_EQ(fail(), Flip::kNone) << "an ejected place is ejected once";
}

TEST_F(BreakerTest, HalfOfAWindowsCallsEjectAPlaceThatNeverFailsOftenInARow) {
  Flip flip = Flip::kNone;
  int calls = 0;
  while (flip == Flip::kNone && calls < 1'000) flip = ++calls % 2 == 0 ? fail() : succeed();
  EXPECT_EQ(flip, Flip::kEjected);
  EXPECT_EQ(calls, 20);
}

TEST_F(BreakerTest, FailuresOfAnEarlierWindowDoNotCount) {
  for (int i = 0; i < 18; ++i) (void)(i % 2 == 0 ? fail() : succeed());
  now += settings.window;
  EXPECT_EQ(succeed(), Flip::kNone);
  EXPECT_EQ(fail(), Flip::kNone);
}

TEST_F(BreakerTest, OneCallTriesAnEjectedPlaceOnceItsTimeIsOver) {
  eject();
  now += settings.eject_time - milliseconds(1);
  EXPECT_FALSE(breaker.begin_trial(now));
  now += milliseconds(1);
  EXPECT_EQ(gate(), Breaker::Gate::kTrial);
  EXPECT_TRUE(breaker.begin_trial(now));
  EXPECT_FALSE(breaker.begin_trial(now));
  EXPECT_EQ(gate(), Breaker::Gate::kEjected) << "until the trial has shown something, or as long again";
  EXPECT_EQ(succeed(), Flip::kBack);
  EXPECT_EQ(gate(), Breaker::Gate::kWell);
  EXPECT_TRUE(breaker.well());
}

TEST_F(BreakerTest, APlaceWithAHealthCheckIsTriedBehindOneThatWentWell) {
  const MonoTime before = now;
  eject();
  now += seconds(60);
  EXPECT_EQ(gate(before - milliseconds(1)), Breaker::Gate::kEjected);
  EXPECT_EQ(gate(before + seconds(1)), Breaker::Gate::kTrial);
}

TEST_F(BreakerTest, EachTrialThatFailsDoublesTheTimeUpToItsBound) {
  eject();
  milliseconds pause = settings.eject_time;
  for (int i = 0; i < 10; ++i) {
    now += pause;
    ASSERT_TRUE(breaker.begin_trial(now));
    EXPECT_EQ(fail(), Flip::kNone);
    pause = std::min(2 * pause, settings.most_eject_time);
    EXPECT_EQ(breaker.pause(), pause);
    EXPECT_EQ(breaker.until(), now + pause);
  }
  EXPECT_EQ(pause, settings.most_eject_time);
  EXPECT_EQ(breaker.ejections(), 1u);
}

TEST_F(BreakerTest, WhatBeganBeforeAnEjectionNeitherBringsAPlaceBackNorKeepsItOut) {
  const MonoTime began = now;
  now += seconds(1);
  eject();
  EXPECT_EQ(breaker.succeeded(began, now, settings), Flip::kNone);
  EXPECT_EQ(breaker.failed(began, now, Fault::kLost, settings), Flip::kNone);
  EXPECT_EQ(breaker.pause(), settings.eject_time);
  now += settings.eject_time;
  EXPECT_EQ(succeed(), Flip::kBack);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(breaker.failed(began, now, Fault::kLost, settings), Flip::kNone);
}

TEST_F(BreakerTest, APlaceThatIsEjectedAgainSoonStaysOutForLonger) {
  eject();
  now += settings.eject_time;
  ASSERT_EQ(succeed(), Flip::kBack);
  now += seconds(1);
  eject();
  EXPECT_EQ(breaker.pause(), 2 * settings.eject_time);
  now += 2 * settings.eject_time;
  ASSERT_EQ(succeed(), Flip::kBack);
  now += settings.window + seconds(1);
  eject();
  EXPECT_EQ(breaker.pause(), settings.eject_time) << "it was well for a window's time";
}

TEST_F(BreakerTest, APauseThatAnUpstreamAsksForIsKeptWithinItsBound) {
  breaker.hold_off(now, seconds(7), settings);
  EXPECT_EQ(gate(), Breaker::Gate::kHeldOff);
  now += seconds(7);
  EXPECT_EQ(gate(), Breaker::Gate::kWell);
  EXPECT_EQ(succeed(), Flip::kNone);
  EXPECT_TRUE(breaker.well());
  breaker.hold_off(now, std::chrono::hours(24), settings);
  EXPECT_EQ(breaker.until(), now + settings.most_hold_off);
}

TEST_F(BreakerTest, OneThatIsOffEjectsNothing) {
  settings.enabled = false;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fail(), Flip::kNone);
  breaker.hold_off(now, seconds(7), settings);
  EXPECT_TRUE(breaker.well());
}

TEST(FirstToken, JumpsToAPeakComesDownSlowlyAndIsForgotten) {
  MonoTime now = MonoTime(std::chrono::hours(1));
  FirstToken first;
  EXPECT_EQ(first.expected_us(now), 0u);
  first.note(milliseconds(100), now);
  first.note(milliseconds(900), now);
  EXPECT_EQ(first.expected_us(now), 900'000u);
  first.note(milliseconds(100), now);
  EXPECT_EQ(first.expected_us(now), 700'000u);
  EXPECT_EQ(first.expected_us(now + seconds(10)), 350'000u);
  EXPECT_EQ(first.expected_us(now + std::chrono::hours(1)), 0u);
}

}  // namespace
}  // namespace sluice::upstream
