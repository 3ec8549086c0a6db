// An audit record of which every field says something of its own, so that what is lost or mixed up on its way shows.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "journal/audit_record.h"

namespace sluice::test {

inline journal::AuditRecord full_record(std::uint64_t boot_id, std::uint64_t number) {
  journal::AuditRecord r;
  r.boot_id = boot_id;
  r.number = number;
  r.tenant_id = 3, r.user_id = 4, r.key_id = 5;
  r.end_reason = EndReason::kCompleted;
  r.status = 200;
  r.stream = true;
  r.usage = {.source = UsageSource::kMeasured,
             .prompt_tokens = 11,
             .cached_tokens = 2,
             .completion_tokens = 7,
             .reasoning_tokens = 3,
             .cache_write_tokens = 4,
             .cache_write_1h_tokens = 1,
             .audio_input_tokens = 5,
             .audio_output_tokens = 6,
             .images = 8,
             .seconds = 9,
             .characters = 10,
             .searches = 12};
  r.cost_micros = 99;
  r.upstream_cost_micros = 77;
  r.price_tier = 2;
  r.attempts = 3;
  r.refused_by = {RefusalKind::kSpent, Scope::kUserModel, BudgetUnit::kMicroUsd, BudgetPeriod::kMonth};
  r.ttft = std::chrono::microseconds(1500);
  r.duration = std::chrono::microseconds(9000);
  r.bytes_in = 100, r.bytes_out = 2000;
  r.request_id = "req_" + std::to_string(number);
  r.tenant = "acme", r.user = "ada";
  r.channel = "api";
  r.endpoint = "chat.completions";
  r.model = "m", r.model_served = "served-m";
  r.upstream = "gpu1";
  r.client_ip = "10.1.2.0/24";
  r.labels = R"({"team":"a"})";
  r.client_request_id = "mine-1";
  return r;
}

// All but ids, times of day and names.
inline void expect_same_figures(const journal::AuditRecord& r, const journal::AuditRecord& as) {
  EXPECT_EQ(r.end_reason, as.end_reason);
  EXPECT_EQ(r.status, as.status);
  EXPECT_EQ(r.usage.source, as.usage.source);
  EXPECT_EQ(r.usage.prompt_tokens, as.usage.prompt_tokens);
  EXPECT_EQ(r.usage.cached_tokens, as.usage.cached_tokens);
  EXPECT_EQ(r.usage.completion_tokens, as.usage.completion_tokens);
  EXPECT_EQ(r.usage.reasoning_tokens, as.usage.reasoning_tokens);
  EXPECT_EQ(r.usage.cache_write_tokens, as.usage.cache_write_tokens);
  EXPECT_EQ(r.usage.cache_write_1h_tokens, as.usage.cache_write_1h_tokens);
  EXPECT_EQ(r.usage.audio_input_tokens, as.usage.audio_input_tokens);
  EXPECT_EQ(r.usage.audio_output_tokens, as.usage.audio_output_tokens);
  EXPECT_EQ(r.usage.images, as.usage.images);
  EXPECT_EQ(r.usage.seconds, as.usage.seconds);
  EXPECT_EQ(r.usage.characters, as.usage.characters);
  EXPECT_EQ(r.usage.searches, as.usage.searches);
  EXPECT_EQ(r.cost_micros, as.cost_micros);
  EXPECT_EQ(r.upstream_cost_micros, as.upstream_cost_micros);
  EXPECT_EQ(r.price_tier, as.price_tier);
  EXPECT_EQ(r.attempts, as.attempts);
  EXPECT_EQ(r.refused_by, as.refused_by);
  EXPECT_EQ(r.ttft, as.ttft);
  EXPECT_EQ(r.duration, as.duration);
  EXPECT_EQ(r.bytes_in, as.bytes_in);
  EXPECT_EQ(r.bytes_out, as.bytes_out);
  EXPECT_EQ(r.labels, as.labels);
}

}  // namespace sluice::test
