// What a conf file may say, and what is said of one that is wrong.
#include "config/loader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "config/waiting.h"

namespace sluice::config {
namespace {

std::string complaints(std::string_view text, const LoadOptions& options = {.files = Files::kTrust}) {
  std::string all;
  for (const Diagnostic& d : load_text(text, "f.toml", options).diagnostics) all += d.to_string() + "\n";
  return all;
}

TEST(Loader, ReadsEachKindOfValue) {
  const LoadResult result = load_text(R"(
[server]
workers = 3
grace = "2m"
state_dir = "state"
[[listener]]
address = "[::1]:0"
transport = "plain"
cors_origins = ["https://a.example", "*"]
trust_forwarded_for = ["10.0.0.0/8", "::1"]
[tls]
min_version = "1.2"
[http]
body_limit = "1MiB"
[[upstream]]
name = "local"
url = "https://models.example:8080/base"
models = ["m"]
usage_in_stream = false
[[model]]
name = "m"
price_prompt = 2.5
price_completion = 10
rpm = 60
budgets = ["tokens:1000000/month", "usd:25.50/day soft"]
)",
                                      "dir/f.toml", {.files = Files::kTrust});
  for (const Diagnostic& d : result.diagnostics) ADD_FAILURE() << d.to_string();
  const Settings& s = result.settings;
  EXPECT_EQ(s.server.workers, 3U);
  EXPECT_EQ(s.server.grace, std::chrono::minutes(2));
  EXPECT_EQ(s.server.state_dir, "dir/state");
  EXPECT_EQ(s.store_path(), "dir/state/sluice.db");
  ASSERT_EQ(s.listeners.size(), 1U);
  EXPECT_EQ(s.listeners[0].transport, Transport::kPlain);
  EXPECT_EQ(s.listeners[0].cors_origins.size(), 2U);
  EXPECT_EQ(s.tls.min_version, TlsVersion::k12);
  EXPECT_EQ(s.http.body_limit, 1U << 20);
  EXPECT_FALSE(s.upstreams.at(0).usage_in_stream);
  const Model& model = s.models.at(0);
  EXPECT_EQ(model.price.prompt, 2'500'000U);
  EXPECT_EQ(model.price.completion, 10'000'000U);
  EXPECT_EQ(model.limits.requests_per_minute, 60U);
  EXPECT_FALSE(model.limits.tokens_per_minute.has_value());
  ASSERT_EQ(model.budgets.size(), 2U);
  EXPECT_EQ(model.budgets[1], (BudgetSpec{BudgetUnit::kMicroUsd, BudgetPeriod::kDay, 25'500'000, true}));
}

TEST(Loader, LongPromptsHaveASecondPriceThatRaisesEachPartAlikeUnlessItSaysOtherwise) {
  const LoadResult result = load_text(
      "[[model]]\nname = \"m\"\nprice_prompt = 3\nprice_cached = 0.3\nprice_cache_write = 3.75\n"
      "price_cache_write_1h = 6\nprice_completion = 15\nprice_audio_input = 30\nprice_long_above = 200000\n"
      "price_long_prompt = 6\nprice_long_cached = 0.5\nprice_long_completion = 22.5\nprice_batch_percent = 50\n",
      "f.toml", {.files = Files::kTrust});
  const Price& price = result.settings.models.at(0).price;
  EXPECT_EQ(price.cache_write_1h, 6'000'000u);
  EXPECT_EQ(price.batch_percent, 50u);
  EXPECT_EQ(price.long_context, (LongPrice{.above = 200'000,
                                           .prompt = 6'000'000,
                                           .cached = 500'000,
                                           .completion = 22'500'000,
                                           .reasoning = 22'500'000,
                                           .cache_write = 7'500'000,
                                           .cache_write_1h = 12'000'000,
                                           .audio_input = 60'000'000,
                                           .audio_output = 22'500'000}));
}

TEST(Loader, APartOfTheTokensCostsAsMuchAsTheRestUnlessAPriceSaysOtherwise) {
  const LoadResult result = load_text(
      "[[model]]\nname = \"plain\"\nprice_prompt = 2.5\nprice_completion = 10\n"
      "[[model]]\nname = \"own\"\nprice_cached = 1\nprice_prompt = 2.5\nprice_reasoning = 0\nprice_completion = 10\n"
      "price_cache_write = 3\nprice_audio_input = 40\nprice_audio_output = 80\n",
      "f.toml", {.files = Files::kTrust});
  const Price& plain = result.settings.models.at(0).price;
  EXPECT_EQ(plain.prompt, 2'500'000u);
  EXPECT_EQ(plain.completion, 10'000'000u);
  for (const std::uint64_t price : {plain.cached, plain.cache_write, plain.cache_write_1h, plain.audio_input})
    EXPECT_EQ(price, plain.prompt);
  for (const std::uint64_t price : {plain.reasoning, plain.audio_output}) EXPECT_EQ(price, plain.completion);
  EXPECT_EQ(plain.long_context.above, 0u);
  const LongPrice own_long{.prompt = 2'500'000,
                           .cached = 1'000'000,
                           .completion = 10'000'000,
                           .reasoning = 0,
                           .cache_write = 3'000'000,
                           .cache_write_1h = 3'000'000,
                           .audio_input = 40'000'000,
                           .audio_output = 80'000'000};
  EXPECT_EQ(result.settings.models.at(1).price, (Price{.prompt = 2'500'000,
                                                       .cached = 1'000'000,
                                                       .completion = 10'000'000,
                                                       .reasoning = 0,
                                                       .cache_write = 3'000'000,
                                                       .cache_write_1h = 3'000'000,
                                                       .audio_input = 40'000'000,
                                                       .audio_output = 80'000'000,
                                                       .long_context = own_long}))
      << "also in another order, and a zero that is written is free";
}

struct Wrong {
  const char* text;
  const char* says;
};

// Every complaint begins with the place and ends with what is allowed.
TEST(Loader, SaysWhereAndWhatIsAllowed) {
  const Wrong cases[] = {
      {"[server]\nwrokers = 2\n", "f.toml:2:1: unknown key wrokers; did you mean workers?"},
      {"[server]\ncompletely_else = 2\n",
       "f.toml:2:1: unknown key completely_else; known are: name, workers, state_dir"},
      {"[sever]\n", "f.toml:1:2: unknown table sever; did you mean server?"},
      {"workers = 2\n", "f.toml:1:1: unknown table workers"},
      {"server = 2\n", "f.toml:1:10: server is one table: [server]"},
      {"[listener]\n", "listener is a table that may be repeated: [[listener]]"},
      {"[server]\nworkers = \"2\"\n", "f.toml:2:11: workers is a whole number from 0 to 1024"},
      {"[server]\nworkers = 2000\n", "f.toml:2:11: workers is a whole number from 0 to 1024"},
      {"[server]\nworkers = -1\n", "workers is a whole number from 0 to 1024"},
      {"[server]\ngrace = 30\n", "f.toml:2:9: grace is a text of a whole number with a unit: \"10ms\""},
      {"[server]\ngrace = \"30\"\n", "grace is a text of a whole number with a unit"},
      {"[server]\ncore_dumps = 1\n", "core_dumps is true or false"},
      {"[http]\nbody_limit = \"12MB\"\n", "body_limit is a text of a whole number with a unit: \"512B\", \"64KiB\""},
      {"[http]\nbody_limit = \"3GiB\"\n", "f.toml:2:14: body_limit is from 1KiB to 2GiB"},
      {"[http]\nbody_limit = \"1GiB\"\n", "buffered_limit is at least body_limit"},
      {"[stream]\nfirst_ping = \"1h\"\n", "first_ping is from 100ms to 5m"},
      {"[tls]\nmin_version = \"1.1\"\n", "min_version is one of \"1.2\", \"1.3\""},
      {"[[listener]]\naddress = \"127.0.0.1:70000\"\n",
       "f.toml:2:11: address \"127.0.0.1:70000\" is IP:PORT, port 0 to 65535"},
      {"[[listener]]\naddress = \"nowhere\"\n", "is IP:PORT"},
      {"[[listener]]\n[[listener]]\n", "address 127.0.0.1:8443 is given twice"},
      {"[[listener]]\naddress = \"0.0.0.0:8443\"\n[[listener]]\naddress = \"127.0.0.1:8443\"\n",
       "f.toml:4:11: address 127.0.0.1:8443 overlaps with 0.0.0.0:8443"},
      {"[[listener]]\naddress = \"10.0.0.1:8443\"\n[[listener]]\naddress = \"[::]:8443\"\n",
       "f.toml:4:11: address [::]:8443 overlaps with 10.0.0.1:8443"},
      {"[[listener]]\naddress = \"[::1]:8443\"\n[[listener]]\naddress = \"[0:0::1]:8443\"\n",
       "f.toml:4:11: address [0:0::1]:8443 overlaps with [::1]:8443"},
      {"[admin]\nmetrics = \"127.0.0.1:8443\"\n", "f.toml:2:11: address 127.0.0.1:8443 is given twice"},
      {"[admin]\nmetrics = \"0.0.0.0:9100\"\n", "f.toml:2:11: warning: metrics asks for no key"},
      {"[[listener]]\naddress = \"0.0.0.0:80\"\ntransport = \"plain\"\n",
       "f.toml:3:13: plain is for loopback addresses"},
      {"[[listener]]\nproxy_protocol = [\"10.0.0.0/33\"]\n", "f.toml:2:19: \"10.0.0.0/33\" is no network"},
      {"[store]\nkind = \"postgres\"\n", "f.toml:2:8: this version has no PostgreSQL store: kind is \"sqlite\""},
      {"[store]\nurl = \"env:PGURL\"\n", "f.toml:2:7: this version has no PostgreSQL store: leave url out"},
      {"[admin]\nmetrics = \"9100\"\n", "metrics is IP:PORT"},
      {"[audit]\nlabel_headers = [\"Authorization\"]\n", "authorization carries a secret and is never recorded"},
      {"[policies]\norder = [\"audit\", \"audit\"]\n", "f.toml:2:19: policy audit stands here twice"},
      {"[route]\nforward_headers = [\"OpenAI-Organization\"]\n",
       "f.toml:2:20: openai-organization says who the client is"},
      {"[route]\nforward_headers = [\"x-goog-api-key\"]\n", "x-goog-api-key says who the client is"},
      {"[route]\nforward_headers = [\"idempotency-key\"]\n", "it belongs into scoped_headers"},
      {"[route]\nforward_headers = [\"*\"]\n", "\"*\" is no name of a header"},
      {"[route]\nscoped_headers = [\"x-session-*\"]\n", "\"x-session-*\" is no name of a header"},
      {"[route]\nscoped_headers = [\"cookie\"]\n", "cookie says who the client is"},
      {"[policies]\nstored_prompts = [\"acme:\"]\n", "f.toml:2:19: \"acme:\" is not TENANT:PROMPT_ID"},
      {"[[upstream]]\nurl = \"http://h\"\n", "f.toml:1:1: name is missing in [[upstream]]"},
      {"[[upstream]]\nname = \"\"\nurl = \"http://h\"\n", "name is not empty"},
      {"[[upstream]]\nname = \"a\"\nurl = \"h:80\"\n", "f.toml:3:7: url is http://HOST[:PORT][/PATH]"},
      {"[[upstream]]\nname = \"a\"\nurl = \"http://u:p@h\"\n", "without user, query or fragment"},
      {"[[upstream]]\nname = \"a\"\nurl = \"http://h:0\"\n", "url is http://HOST"},
      {"[[model]]\nname = \"m\"\n[[model]]\nname = \"m\"\n", "f.toml:4:8: model m is given twice"},
      {"[[model]]\nname = \"m\"\nprice_prompt = -1\n", "price_prompt is a number of USD per million tokens"},
      {"[[model]]\nname = \"m\"\nbudgets = [\"1000/month\"]\n",
       "f.toml:3:12: \"1000/month\" is not tokens:N/PERIOD or usd:X/PERIOD"},
      {"[tls]\ngroups = [\"ffdhe8192\"]\n", "\"ffdhe8192\" is none of X25519, P-256, P-384"},
      {"[tls]\ngroups = []\n", "groups names at least one"},
      {"[tls]\ncipher_suites = [\"TLS_AES_128_GCM_SHA256\", \"RC4\"]\n", "\"RC4\" is none of TLS_AES_128_GCM_SHA256,"},
      {"[ledger]\ntime_zone = \"Mars/Olympus\"\n", "time_zone \"Mars/Olympus\" is not known here"},
      {"[server\n", "f.toml:1:8: "},
      {"[server]\nworkers = 1\nworkers = 2\n", "f.toml:3:"},
  };
  for (const Wrong& wrong : cases) {
    const std::string said = complaints(wrong.text);
    EXPECT_NE(said.find(wrong.says), std::string::npos) << "of:\n"
                                                        << wrong.text << "said:\n"
                                                        << said << "and not:\n"
                                                        << wrong.says;
  }
}

TEST(Loader, AddressesThatDoNotOverlapAreGood) {
  EXPECT_EQ(complaints("[[listener]]\naddress = \"127.0.0.1:8443\"\n[[listener]]\naddress = \"127.0.0.2:8443\"\n"
                       "[[listener]]\naddress = \"[::1]:8443\"\n[[listener]]\naddress = \"0.0.0.0:8444\"\n"
                       "[[listener]]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n"),
            "");
}

TEST(Loader, AWarningLeavesTheConfGood) {
  const LoadResult result = load_text("[admin]\nmetrics = \"0.0.0.0:9100\"\n", "f.toml", {.files = Files::kTrust});
  EXPECT_TRUE(result.good());
  EXPECT_EQ(result.diagnostics.size(), 1U);
}

TEST(Waiting, NamesTheChangedKeysThatAreReadAtStartAlone) {
  const auto settings = [](std::string_view text) {
    return load_text(text, "f.toml", {.files = Files::kTrust}).settings;
  };
  const Settings running = settings("[server]\nworkers = 2\n[journal]\nsync = \"20ms\"\n");
  EXPECT_EQ(keys_that_wait(running, running), std::vector<std::string>());
  EXPECT_EQ(keys_that_wait(running, settings("[server]\nworkers = 2\ngrace = \"1s\"\n[journal]\nsync = \"20ms\"\n")),
            std::vector<std::string>());
  EXPECT_EQ(keys_that_wait(running, settings("[server]\nworkers = 3\n[admin]\nsocket = \"/run/s\"\n")),
            (std::vector<std::string>{"server.workers", "journal.sync", "admin.socket"}));
}

TEST(Loader, SaysEverythingAtOnceInTheOrderOfTheFile) {
  const std::string said =
      complaints("[server]\nworkers = -1\nxyz = 1\n[http]\nhead_limit = 4\n[[model]]\n[admin]\nmetrics = \"x\"\n");
  const char* places[] = {"f.toml:2:11", "f.toml:3:1", "f.toml:5:14", "f.toml:6:1", "f.toml:8:11"};
  std::size_t at = 0;
  for (const char* place : places) {
    at = said.find(place, at);
    ASSERT_NE(at, std::string::npos) << place << " in\n" << said;
  }
}

TEST(Loader, AnInlineSecretIsRefusedAndNotRepeated) {
  const std::string said = complaints("[[upstream]]\nname = \"a\"\nurl = \"http://h\"\napi_key = \"sk-canary\"\n");
  EXPECT_NE(said.find("f.toml:4:11: api_key is a secret, never written here: give \"file:PATH\" or \"env:NAME\""),
            std::string::npos)
      << said;
  EXPECT_EQ(said.find("canary"), std::string::npos);
}

TEST(Loader, UnknownPoliciesAreNamedWithTheNearestKnownOne) {
  const KnownPolicy known[] = {{.name = "audit"}, {.name = "budget"}};
  const std::string said =
      complaints("[policies]\norder = [\"bugdet\"]\n", {.files = Files::kTrust, .known_policies = known});
  EXPECT_NE(said.find("f.toml:2:10: unknown policy bugdet; did you mean budget?"), std::string::npos) << said;
}

class LoaderFiles : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/sluice-config-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(folder_.c_str());
  }
  std::string write(const std::string& name, const std::string& text) {
    files_.push_back(folder_ + "/" + name);
    std::ofstream(files_.back()) << text;
    return files_.back();
  }
  std::string folder_;
  std::vector<std::string> files_;
};

TEST_F(LoaderFiles, SecretsAreReadBesideTheConfFileAndFromTheEnvironment) {
  write("token", "sk-from-file\n");
  ::setenv("SLUICE_TEST_TOKEN", "sk-from-env", 1);
  const std::string conf =
      write("f.toml",
            "[[listener]]\ntransport = \"plain\"\n"
            "[[upstream]]\nname = \"a\"\nurl = \"http://h\"\napi_key = \"file:token\"\n"
            "[[upstream]]\nname = \"b\"\nurl = \"http://h\"\napi_key = \"env:SLUICE_TEST_TOKEN\"\n");
  const auto settings = load(conf);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].api_key.value, "sk-from-file");
  EXPECT_EQ(settings->upstreams[1].api_key.value, "sk-from-env");
}

TEST_F(LoaderFiles, FilesThatCannotBeReadAreErrorsThatSayWhatToDo) {
  const std::string conf =
      write("f.toml",
            "[tls]\ncertificate = \"none.pem\"\nkey = \".\"\n"
            "[[upstream]]\nname = \"a\"\nurl = \"http://h\"\napi_key = \"file:none\"\n"
            "[[upstream]]\nname = \"b\"\nurl = \"http://h\"\napi_key = \"env:SLUICE_TEST_NONE\"\n");
  const LoadResult result = load_file(conf);
  ASSERT_EQ(result.diagnostics.size(), 4U);
  const std::string what[] = {
      ":2:15: certificate: cannot read " + folder_ + "/none.pem: No such file or directory; give a PEM file",
      ":3:7: key: " + folder_ + "/. is a folder; give a PEM file",
      ":7:11: cannot read " + folder_ + "/none: No such file or directory; let the gateway's user read it",
      ":11:11: the environment has no SLUICE_TEST_NONE; set it before the gateway starts"};
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NE(result.diagnostics[i].to_string().find(what[i]), std::string::npos) << result.diagnostics[i].to_string();
}

TEST_F(LoaderFiles, CheckPrintsOneLineAnErrorAndAnswersWithItsExitCode) {
  const std::string bad = write("bad.toml", "[server]\nwrokers = 1\n[[listener]]\ntransport = \"plain\"\n");
  const std::string good = write("good.toml", "[[listener]]\ntransport = \"plain\"\n");
  char* text = nullptr;
  std::size_t size_bytes = 0;
  std::FILE* into = ::open_memstream(&text, &size_bytes);
  EXPECT_EQ(print_check(load_file(bad), into, into), 1);
  EXPECT_EQ(print_check(load_file(good), into, into), 0);
  EXPECT_EQ(print_check(load_file(folder_ + "/none.toml"), into, into), 1);
  std::fclose(into);
  EXPECT_EQ(std::string(text, size_bytes),
            bad + ":2:1: unknown key wrokers; did you mean workers?\n" + good + ": good\n" + folder_ +
                "/none.toml: cannot be read: No such file or directory; put it there, or name another with --config\n");
  ::free(text);
}

TEST_F(LoaderFiles, TheAdminSocketIsSaidByAFileWithOtherErrorsToo) {
  const auto socket_of = [&](std::string_view text) {
    return admin_socket_of(write("socket.toml", std::string(text)));
  };
  EXPECT_EQ(*socket_of(""), "/var/lib/sluice/admin.sock");
  EXPECT_EQ(*socket_of("[server]\nstate_dir = \"/s\"\n"), "/s/admin.sock");
  EXPECT_EQ(*socket_of("[server]\nstate_dir = \"s\"\n"), folder_ + "/s/admin.sock");
  EXPECT_EQ(*socket_of("[server]\nstate_dir = 5\n[admin]\nsocket = \"/a.sock\"\n"), "/a.sock");
  EXPECT_EQ(*socket_of("[server]\nwrokers = 1\nstate_dir = \"/s\"\n[tls]\nkey = 4\n"), "/s/admin.sock");
  EXPECT_EQ(socket_of("[server]\nwrokers = 1\nstate_dir = 5\n").status().message(),
            folder_ + "/socket.toml:3:13: state_dir is a text in quotes");
  EXPECT_FALSE(socket_of("[server\n").ok());
  EXPECT_TRUE(absl::IsNotFound(admin_socket_of(folder_ + "/none.toml").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(admin_socket_of(folder_).status()));  // a folder is no file
}

TEST(Values, UnitsAreReadExactlyAndNothingElse) {
  EXPECT_EQ(*parse_duration("10ms"), Duration(10));
  EXPECT_EQ(*parse_duration("30d"), Duration(30LL * 24 * 3600 * 1000));
  EXPECT_EQ(*parse_size("16MiB"), 16U << 20);
  for (const char* text :
       {"", "s", "1", "1 s", "-1s", "+1s", "1.5s", "1S", "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_EQ(parse_budget("usd:0.1/total")->amount, 100'000U);
  EXPECT_EQ(parse_budget("usd:0.000001/day")->amount, 1U);
  EXPECT_EQ(parse_budget("tokens:0/day")->amount, 0U);
  for (const char* text : {"usd:0.0000001/day", "usd:-1/day", "usd:1e3/day", "usd:/day", "usd:./day", "tokens:1.5/day",
                           "tokens:1/week", "tokens:/day", "eur:1/day"}) {
    EXPECT_FALSE(parse_budget(text).ok()) << text;
  }
}

}  // namespace
}  // namespace sluice::config
