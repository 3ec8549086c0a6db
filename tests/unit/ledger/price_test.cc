// Tiers of prices: what is reserved is never less than what is charged, and more never costs less.
#include "ledger/price.h"

#include <random>

#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

class RandomPrices final {
 public:
  std::uint64_t below(std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(random_); }
  Price price() {
    Price p{.prompt = below(kDear), .cached = below(kDear), .completion = below(kDear), .reasoning = below(kDear)};
    p.cache_write = below(kDear), p.cache_write_1h = below(kDear);
    p.audio_input = below(kDear), p.audio_output = below(kDear);
    const auto more = [this](std::uint64_t than) { return than + below(kDear); };
    p.long_context = {.above = below(1) * below(kTokens),
                      .prompt = more(p.prompt),
                      .cached = more(p.cached),
                      .completion = more(p.completion),
                      .reasoning = more(p.reasoning),
                      .cache_write = more(p.cache_write),
                      .cache_write_1h = more(p.cache_write_1h),
                      .audio_input = more(p.audio_input),
                      .audio_output = more(p.audio_output)};
    p.batch_percent = below(100);
    return p;
  }
  Usage within(std::uint64_t prompt, std::uint64_t completion) {
    Usage usage{.source = UsageSource::kMeasured, .prompt_tokens = below(prompt)};
    usage.completion_tokens = below(completion);
    usage.cached_tokens = below(kTokens), usage.cache_write_tokens = below(kTokens);
    usage.cache_write_1h_tokens = below(kTokens), usage.audio_input_tokens = below(kTokens);
    usage.reasoning_tokens = below(kTokens), usage.audio_output_tokens = below(kTokens);
    return usage;
  }
  PriceClass price_class() { return below(1) == 0 ? PriceClass::kStandard : PriceClass::kBatch; }

  static constexpr std::uint64_t kDear = 90'000'000, kTokens = 400'000;

 private:
  std::mt19937_64 random_{7};
};

constexpr int kPriceRounds = 20'000;

TEST(PriceTiers, WhatIsReservedIsNeverLessThanWhatTheSameTokensCost) {
  RandomPrices random;
  for (int i = 0; i < kPriceRounds; ++i) {
    const Price price = random.price();
    const PriceClass of = random.price_class();
    const std::uint64_t prompt = random.below(random.kTokens), output = random.below(random.kTokens);
    const Usage usage = random.within(prompt, output);
    ASSERT_LE(cost(price, usage, of), cost_at_most(dearest(price, prompt, of), prompt, output)) << "round " << i;
  }
}

TEST(PriceTiers, MoreTokensNeverCostLessAndABatchNeverMore) {
  RandomPrices random;
  for (int i = 0; i < kPriceRounds; ++i) {
    const Price price = random.price();
    const PriceClass of = random.price_class();
    const Usage usage = random.within(random.kTokens, random.kTokens);
    Usage more = usage;
    more.prompt_tokens += random.below(random.kTokens), more.completion_tokens += random.below(random.kTokens);
    ASSERT_LE(cost(price, usage, of), cost(price, more, of)) << "round " << i;
    ASSERT_LE(cost(price, usage, PriceClass::kBatch), cost(price, usage)) << "round " << i;
    const Rates rates = dearest(price, usage.prompt_tokens, of), later = dearest(price, more.prompt_tokens, of);
    ASSERT_LE(rates.prompt, later.prompt) << "round " << i;
    ASSERT_LE(rates.output, later.output) << "round " << i;
  }
}

constexpr Price kTiered{.prompt = 3'000'000,
                        .cached = 300'000,
                        .completion = 15'000'000,
                        .reasoning = 15'000'000,
                        .cache_write = 3'750'000,
                        .cache_write_1h = 6'000'000,
                        .long_context = {.above = 200'000, .prompt = 6'000'000, .completion = 22'500'000},
                        .batch_percent = 50};

TEST(PriceTiers, EachHasItsPrice) {
  EXPECT_EQ(cost(kTiered, measured(200'000, 1'000)), 615'000u);
  EXPECT_EQ(cost(kTiered, measured(200'001, 1'000)), 1'200'006u + 22'500u) << "all tokens, not those above alone";
  EXPECT_EQ(cost(kTiered, measured(1'000, 100), PriceClass::kBatch), 2'250u);
  EXPECT_EQ(cost(kTiered, measured(1, 0), PriceClass::kBatch), 2u) << "rounded up";
  Usage written{.prompt_tokens = 100};
  written.cache_write_tokens = 60, written.cache_write_1h_tokens = 20;
  EXPECT_EQ(cost(kTiered, written), 40 * 3u + 40 * 3'750'000u / 1'000'000 + 20 * 6u);
  EXPECT_EQ(tier_of(kTiered, 200'000, PriceClass::kStandard), 0);
  EXPECT_EQ(tier_of(kTiered, 200'001, PriceClass::kStandard), kTierLong);
  EXPECT_EQ(in_tier(kTiered, 200'001, PriceClass::kStandard).completion, 22'500'000u);
  EXPECT_EQ(tier_of(kTiered, 200'001, PriceClass::kBatch), kTierBatch) << "a sum over its lines is no long prompt";
  EXPECT_EQ(in_tier(kTiered, 200'001, PriceClass::kBatch).completion, 7'500'000u);
}

class TieredBudgets : public LedgerTest {};

TEST_F(TieredBudgets, ALongPromptReservesAndSettlesByItsPrice) {
  ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {}, .price = kTiered});
  key_budget({micro_usd(10'000'000)});
  Ticket ticket;
  ASSERT_FALSE(
      ledger.reserve(ticket, kCall, {.prompt = 300'000, .output_cap = 1'000, .cap_given = true}).refusal.refused());
  EXPECT_EQ(key_state().reserved, 1'800'000u + 22'500u);
  ledger.settle(ticket, measured(300'000, 1'000));
  EXPECT_EQ(key_state().used, 1'822'500u);
}

TEST_F(TieredBudgets, AStreamOfALongCallIsExtendedByItsPriceAndCutWhereItsBudgetEnds) {
  ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {}, .price = kTiered});
  key_budget({micro_usd(1'800'000 + 225'000)});
  Ticket ticket;
  const Grant grant = ledger.reserve(ticket, kCall, {.prompt = 300'000, .output_cap = 90'000, .streamed = true});
  EXPECT_EQ(grant.clamp_output_to, 10'000u) << "what is left, at 22.5 USD per million";
  EXPECT_EQ(ledger.extend(ticket, 9'000), Extended::kGranted);
  EXPECT_EQ(ledger.extend(ticket, 10'000), Extended::kUsedUp);
  ledger.settle(ticket, measured(300'000, 10'000));
  EXPECT_EQ(key_state().used, 1'800'000u + 225'000u);
}

TEST_F(TieredBudgets, ACallOfABatchReservesAndSettlesAtItsShare) {
  ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {}, .price = kTiered});
  key_budget({micro_usd(1'000'000)});
  Ticket ticket;
  const Ask ask{.prompt = 1'000, .output_cap = 100, .cap_given = true, .price_class = PriceClass::kBatch};
  ASSERT_FALSE(ledger.reserve(ticket, kCall, ask).refusal.refused());
  EXPECT_EQ(key_state().reserved, 3'000u + 750u) << "the dearest that a prompt's tokens may be, by half";
  ledger.settle(ticket, measured(1'000, 100));
  EXPECT_EQ(key_state().used, 2'250u);
}

}  // namespace
}  // namespace sluice::ledger
