#include "observe/trace.h"

#include <gtest/gtest.h>

namespace sluice::observe {
namespace {

constexpr std::string_view kExample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string text_of(const TraceContext& trace) {
  const auto text = trace.text();
  return {text.begin(), text.end()};
}

TEST(Trace, ReadsAndWritesTheStandardsExample) {
  const auto trace = TraceContext::parse(kExample);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->flags, 1);
  EXPECT_EQ(text_of(*trace), kExample);
}

TEST(Trace, ASpanOfOurOwnKeepsTheTrace) {
  const TraceContext next = TraceContext::parse(kExample)->with_span(0x1122334455667788);
  EXPECT_EQ(text_of(next), "00-4bf92f3577b34da6a3ce929d0e0e4736-1122334455667789-01");
}

TEST(Trace, WhatTheStandardCallsInvalidIsIgnored) {
  for (const char* text : {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                           "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"}) {
    EXPECT_FALSE(TraceContext::parse(text).has_value()) << text;
  }
  EXPECT_TRUE(TraceContext::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").has_value());
}

TEST(Trace, ASpanOfOurOwnIsNeverTheInvalidOne) {
  EXPECT_TRUE(TraceContext::parse(text_of(TraceContext::parse(kExample)->with_span(0))).has_value());
}

}  // namespace
}  // namespace sluice::observe
