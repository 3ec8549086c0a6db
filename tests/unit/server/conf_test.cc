// What workers get of a conf.
#include "server/conf.h"

#include <gtest/gtest.h>

#include <array>

#include "server/accounting.h"
#include "server/dialects.h"

namespace sluice::server {
namespace {

using std::chrono::seconds;

TEST(FrontSettings, OfAPlainListenerTakeNoTunnels) {
  config::Settings settings;
  settings.http.head_limit = 4096;
  settings.http.idle_time = seconds(7);
  config::Listener listener;
  listener.transport = config::Transport::kPlain;
  listener.trust_forwarded_for = {"10.0.0.0/8"};
  const auto front = make_front_settings(settings, listener, nullptr);
  ASSERT_TRUE(front.ok()) << front.status();
  EXPECT_FALSE((*front)->tls);
  EXPECT_EQ((*front)->protocols, std::vector<std::string_view>{net::kHttp11Alpn});
  EXPECT_EQ((*front)->limits.head_bytes, 4096u);
  EXPECT_EQ((*front)->limits.idle_time, seconds(7));
}

TEST(FrontSettings, RefuseWhatIsNoNetwork) {
  config::Listener listener;
  listener.transport = config::Transport::kPlain;
  listener.proxy_protocol = {"10.0.0.0/33"};
  EXPECT_FALSE(make_front_settings({}, listener, nullptr).ok());
}

TEST(DirectSettings, TakeEachBoundFromTheUpstream) {
  config::Upstream upstream;
  upstream.name = "box";
  upstream.url = "http://127.0.0.1:8000";
  upstream.head_time = seconds(3);
  upstream.connect_time = seconds(2);
  upstream.api_key.reference = "env:KEY";
  upstream.api_key.value = "secret";
  const auto made = make_direct_settings(upstream, Dialects().table());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->times.head, seconds(3));
  EXPECT_EQ(made->connection.connect_time, seconds(2));
}

config::Upstream provider(std::string_view kind, std::string_view credential) {
  config::Upstream upstream;
  upstream.name = "cloud";
  upstream.kind = kind;
  upstream.url = "http://127.0.0.1:8000";
  upstream.api_key.reference = "env:KEY";
  upstream.api_key.value = "secret";
  upstream.credential = credential;
  return upstream;
}

TEST(DirectSettings, ShowTheKeyAsTheCredentialSays) {
  for (const config::CredentialKind& kind : config::credential_kinds()) {
    const auto made = make_direct_settings(provider("openai", kind.name), Dialects().table());
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->credential_header, kind.header);
    EXPECT_EQ(std::string_view(made->credential), std::string(kind.scheme) + "secret");
  }
}

// A new way to show a key is a row.
TEST(DirectSettings, ANewCredentialIsARow) {
  constexpr std::array kToy = {config::CredentialKind{.name = "toy", .header = "x-toy", .scheme = "Toy "}};
  const auto made = make_direct_settings(provider("openai", "toy"), Dialects().table(), kToy);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->credential_header, "x-toy");
  EXPECT_EQ(std::string_view(made->credential), "Toy secret");
}

TEST(DirectSettings, TakeTheEndpointsOfTheirDialects) {
  const Dialects dialects;
  const auto takes = [&](const config::Upstream& upstream, std::string_view path) {
    const auto made = make_direct_settings(upstream, dialects.table());
    return (made->endpoints >> dialects.table().find(path).number & 1) != 0;
  };
  config::Upstream upstream = provider("openai-compatible", "bearer");
  EXPECT_TRUE(takes(upstream, "/v1/messages"));
  upstream.dialects = {"openai"};
  EXPECT_FALSE(takes(upstream, "/v1/messages"));
  EXPECT_TRUE(takes(upstream, "/v1/chat/completions"));
  EXPECT_FALSE(takes(provider("openai", "bearer"), "/v1/messages"));
  EXPECT_TRUE(takes(provider("anthropic", "x-api-key"), "/v1/messages"));
  EXPECT_FALSE(takes(provider("anthropic", "x-api-key"), "/v1/embeddings"));
}

TEST(DirectSettings, CallModelsAsTheUpstreamDoes) {
  config::Upstream upstream = provider("azure", "api-key");
  upstream.models = {"gpt-4o=our deployment", "plain"};
  const auto made = make_direct_settings(upstream, Dialects().table());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->models, (std::vector<std::string>{"gpt-4o", "plain"}));
  EXPECT_EQ(made->names.find("gpt-4o")->second, "our deployment");
  EXPECT_EQ(made->names.count("plain"), 0u);
}

TEST(DirectSettings, NameTheUpstreamWhoseUrlIsNone) {
  config::Upstream upstream;
  upstream.name = "box";
  upstream.url = "ftp://x";
  const auto made = make_direct_settings(upstream, Dialects().table());
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.status().message().find("box"), std::string_view::npos);
}

TEST(BudgetLog, CountsEachThresholdByItself) {
  observe::Log log({.level = observe::Level::kError});
  BudgetLog budgets(log);
  ledger::ThresholdEvent event{};
  event.percent = 80;
  budgets.threshold_passed(event);
  event.percent = 100;
  budgets.threshold_passed(event);
  budgets.threshold_passed(event);
  event.soft = true;
  budgets.threshold_passed(event);
  EXPECT_EQ(budgets.count(BudgetLog::Passed::kNearly), 1u);
  EXPECT_EQ(budgets.count(BudgetLog::Passed::kUsedUp), 2u);
  EXPECT_EQ(budgets.count(BudgetLog::Passed::kSoft), 1u);
}

}  // namespace
}  // namespace sluice::server
