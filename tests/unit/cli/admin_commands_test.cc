#include "cli/admin_commands.h"

#include <gtest/gtest.h>

#include <set>

#include "admin/text.h"
#include "cli/table.h"
#include "identity/secret_key.h"
#include "unit/admin/running_gateway.h"

namespace sluice::cli {
namespace {

using admin::Counted;
using admin::format_id;
using admin::format_time;
using admin::parse_id;
using admin::parse_time;
using admin::RunningGateway;

struct Ran {
  int code = 0;
  std::string out, err;
};

struct CommandTest : testing::Test {
  // One run of the program, in this process.
  Ran run_on(const std::string& socket, std::vector<std::string> arguments) {
    Ran ran;
    CLI::App app("sluice");
    app.require_subcommand(1);
    add_admin_commands(app, ran.code);
    arguments.insert(arguments.end(), {"--socket", socket});
    std::ranges::reverse(arguments);  // as CLI11 takes them
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& error) {
      ran.code = app.exit(error);
    }
    ran.out = testing::internal::GetCapturedStdout();
    ran.err = testing::internal::GetCapturedStderr();
    return ran;
  }
  Ran run(std::vector<std::string> arguments) { return run_on(gateway.socket, std::move(arguments)); }
  json::value run_json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    return json::parse(ran.out);
  }
  void refused(std::vector<std::string> arguments, std::string_view part) {
    const Ran ran = run(std::move(arguments));
    EXPECT_EQ(ran.code, 1) << ran.out;
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1) << ran.err;
  }

  RunningGateway gateway;
};

TEST_F(CommandTest, AKeyIsCreatedWithEverythingThatItIsHeldTo) {
  const json::value made =
      run_json({"key",      "create",        "--tenant",      "acme",       "--user",   "ada",
                "--model",  "qwen",          "--model",       "llama",      "--rpm",    "60",
                "--tpm",    "1000",          "--concurrency", "4",          "--budget", "tokens:500/month",
                "--budget", "usd:2.5/month", "--expires",     "2030-01-31", "--create"});
  const auto key = gateway.directory.find(text_of(made.as_object(), "key"), gateway.clock.wall());
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ((*key)->models(), (std::vector<std::string>{"qwen", "llama"}));
  EXPECT_EQ((*key)->limits(), (LimitSpec{.requests_per_minute = 60, .tokens_per_minute = 1000, .concurrency = 4}));
  EXPECT_EQ((*key)->budgets().size(), 2u);
  EXPECT_EQ(text_of(made.as_object(), "expires"), "2030-01-31T00:00:00.000Z");
  EXPECT_TRUE(text_of(made.as_object(), "id").starts_with("key_"));
}

TEST_F(CommandTest, TenantsUsersAndKeysLiveTheirLife) {
  EXPECT_EQ(run({"tenant", "create", "acme", "--rpm", "100"}).code, 0);
  EXPECT_EQ(run({"user", "create", "ada", "--tenant", "acme"}).code, 0);
  const std::string id(text_of(run_json({"key", "create", "--tenant", "acme", "--user", "ada"}).as_object(), "id"));
  EXPECT_EQ(run_json({"tenant", "list"}).as_array().size(), 1u);
  EXPECT_EQ(run_json({"user", "list", "--tenant", "acme"}).as_array().size(), 1u);
  EXPECT_EQ(run_json({"key", "list"}).as_array().size(), 1u);
  EXPECT_EQ(text_of(run_json({"user", "show", "ada", "--tenant", "acme"}).as_object(), "tenant"), "acme");
  EXPECT_EQ(run_json({"key", "update", id, "--rpm", "5"}).at("limits").at("rpm").to_number<int>(), 5);
  EXPECT_TRUE(run_json({"key", "update", id, "--rpm", "none"}).at("limits").at("rpm").is_null());
  EXPECT_FALSE(run_json({"key", "revoke", id}).at("revoked").is_null());
  EXPECT_FALSE(run_json({"user", "revoke", "ada", "--tenant", "acme"}).at("revoked").is_null());
  EXPECT_FALSE(run_json({"tenant", "revoke", "acme"}).at("revoked").is_null());
}

TEST_F(CommandTest, WrongUseIsOneLineThatSaysWhatToDo) {
  refused({"key", "create", "--tenant", "nobody", "--user", "x"}, "add --create");
  refused({"tenant", "show", "nobody"}, "no tenant nobody");
  refused({"tenant", "create", "acme", "--budget", "12"}, "tokens:");
  refused({"user", "show", "ada"}, "--tenant");
  refused({"key", "show", "7"}, "key_12");
  EXPECT_EQ(run({"key", "update", "key_1"}).code, 2);
  EXPECT_EQ(run({"user", "update", "user_1"}).code, 2);
  refused({"budget", "set", "--tenant", "nobody", "--budget", "tokens:1/day"}, "no tenant nobody");
  refused({"agent", "revoke", "agent_7"}, "agent list");
  refused({"audit", "export", "--format", "csv", "--from", "yesterday"}, "30d");
  EXPECT_NE(run({"audit", "export", "--format", "xml"}).code, 0);
  EXPECT_NE(run({"key", "create"}).code, 0);
  EXPECT_NE(run({}).code, 0);
}

TEST_F(CommandTest, ARefusedReloadShowsEveryLineOfTheReason) {
  gateway.gateway.reloaded = absl::InvalidArgumentError("a.toml:1:1: no\na.toml:2:1: neither");
  const Ran ran = run({"reload"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("a.toml:1:1"), std::string::npos);
  EXPECT_NE(ran.err.find("a.toml:2:1"), std::string::npos);
}

TEST_F(CommandTest, BudgetsPairingAndOperations) {
  run({"tenant", "create", "acme"});
  EXPECT_EQ(run({"budget", "set", "--tenant", "acme", "--budget", "usd:7/day"}).code, 0);
  EXPECT_EQ(text_of(run_json({"budget", "list"}).as_array().at(0).as_object(), "budget"), "usd:7.00/day");
  EXPECT_EQ(run({"budget", "unset", "--tenant", "acme", "--budget", "usd:0/day"}).code, 0);
  EXPECT_EQ(run({"budget", "list"}).out, "none\n");
  const std::string key(text_of(run_json({"pair", "create", "--any-model"}).as_object(), "key"));
  EXPECT_EQ(identity::check_form(key, identity::kPairingKeyPrefix), identity::SecretForm::kGood);
  EXPECT_NE(run({"pair", "create", "--model", "qwen", "--model", "llama"}).out.find("sluice agent pair --gateway"),
            std::string::npos);
  EXPECT_NE(run({"status"}).out.find("state: running"), std::string::npos);
  EXPECT_EQ(run({"metrics"}).out, "sluice_up 1\n");
  EXPECT_EQ(run({"drain"}).code, 0);
  EXPECT_TRUE(gateway.gateway.drained);
  EXPECT_EQ(std::ranges::count(run({"audit", "export", "--format", "csv"}).out, '\n'), 1);
}

TEST_F(CommandTest, ExplainShowsEverythingThatApplies) {
  run({"tenant", "create", "acme", "--budget", "usd:9/month"});
  const std::string id(
      text_of(run_json({"key", "create", "--tenant", "acme", "--user", "ada", "--create", "--rpm", "60",
                        "--concurrency", "2", "--budget", "tokens:100/total", "--budget", "tokens:80/total soft"})
                  .as_object(),
              "id"));
  const json::value lines = run_json({"budget", "explain", "--key", id});
  std::set<std::string> seen;
  for (const json::value& line : lines.as_array())
    seen.insert(std::string(text_of(line.as_object(), "scope")) + " " + std::string(text_of(line.as_object(), "what")) +
                " " + json::serialize(line.at("limit")));
  EXPECT_EQ(seen, (std::set<std::string>{"key requests per minute 60", "key concurrent requests 2",
                                         "key tokens in all 100", "tenant micro_usd per month 9000000"}));
  refused({"budget", "explain", "--key", "key_99"}, "no key key_99");
  refused({"budget", "explain", "--key", id, "--model", "nobody"}, "no model nobody");
}

TEST_F(CommandTest, NoGatewayIsSaidAndExitIsNotZero) {
  const Ran ran = run_on(gateway.scratch.file("nobody.sock"), {"status"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("no gateway answers"), std::string::npos);
}

TEST(AdminCommands, AnAgentCommandThatIsThereIsAddedTo) {
  CLI::App app;
  int code = 0;
  app.add_subcommand("agent", "ours")->add_subcommand("run", "…");
  add_admin_commands(app, code);
  EXPECT_EQ(app.get_subcommand("agent")->get_subcommands([](CLI::App*) { return true; }).size(), 3u);
}

TEST(AdminText, TimesAndIdsGoThereAndBack) {
  const WallTime now(std::chrono::seconds(1'800'000'000));
  EXPECT_EQ(*parse_time(format_time(now)), now);
  EXPECT_EQ(*parse_time("2h", now, Counted::kFuture), now + std::chrono::hours(2));
  EXPECT_EQ(*parse_time("2h", now, Counted::kPast), now - std::chrono::hours(2));
  for (const char* bad : {"", "2027", "2027-02-30", "2027-01-01T25:00:00Z", "2027-01-01T10:00:00", "2027-01-01x", "-3d",
                          "0s", "999999999999999d", "0002-1-1"})
    EXPECT_FALSE(parse_time(bad, now, Counted::kFuture).ok()) << bad;
  EXPECT_EQ(parse_id(Scope::kUser, format_id(Scope::kUser, 12)), 12u);
  EXPECT_FALSE(parse_id(Scope::kUser, "key_12").has_value());
  EXPECT_FALSE(parse_id(Scope::kUser, "user_").has_value());
  EXPECT_FALSE(parse_id(Scope::kUser, "user_-1").has_value());
  EXPECT_FALSE(parse_id(Scope::kUser, "user_99999999999999999999").has_value());
}

TEST(AdminTable, LinesUpColumnsOfAnyAlphabet) {
  const json::array rows{json::object{{"name", "Zoë"}, {"limits", {{"rpm", 6}, {"tpm", nullptr}}}},
                         json::object{{"name", "Al"}, {"more", true}}};
  EXPECT_EQ(as_table(rows), "name  limits  more\nZoë   rpm 6\nAl    -       true\n");
  EXPECT_EQ(as_table(json::array()), "none\n");
  const json::array models{json::object{{"name", "m"}, {"slots", 4}}, json::object{{"name", "n"}}};
  const json::array agents{json::object{{"name", "gpu"}, {"cpu", 3}, {"models", models}}};
  const std::string_view columns[] = {"models", "name", "none"};
  EXPECT_EQ(as_table(agents, columns), "models  name  none\nm, n    gpu   -\n");
}

}  // namespace
}  // namespace sluice::cli
