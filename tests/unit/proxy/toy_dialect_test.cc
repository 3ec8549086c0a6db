// A dialect that the exchange has never heard of goes through it: one file and a place in the table are enough.
#include "toy_dialect.h"

#include <gtest/gtest.h>

#include "base/manual_clock.h"
#include "http/h1/server_connection.h"
#include "identity/key_directory.h"
#include "identity/secret_key.h"
#include "openai/openai.h"
#include "proxy/exchange.h"
#include "support/loop_runner.h"

namespace sluice::proxy {
namespace {

// An answer whose body is there at once.
class Answer final : public http::OutgoingCall {
 public:
  Answer(std::string_view body, http::CallState state) : state_(state) {
    head_.status = 200;
    body_.append(body);
  }
  [[nodiscard]] http::CallState state() const noexcept override { return state_; }
  [[nodiscard]] const http::AnswerHead* head() const noexcept override { return &head_; }
  [[nodiscard]] Buffer& body() noexcept override { return body_; }
  void taken(std::size_t) noexcept override {}
  [[nodiscard]] bool holds_request() const noexcept override { return false; }
  [[nodiscard]] Error error() const noexcept override { return {}; }

 private:
  const http::CallState state_;
  http::AnswerHead head_;
  Buffer body_;
};

// Answers every call with the same, and keeps what it was sent.
class Toy final : public upstream::Place {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "toy"; }
  [[nodiscard]] const char* kind() const noexcept override { return "upstream"; }
  [[nodiscard]] upstream::CallTimes times() const noexcept override { return {}; }
  [[nodiscard]] bool reachable() const noexcept override { return true; }
  [[nodiscard]] std::int64_t slots() const noexcept override { return 1; }
  [[nodiscard]] std::int64_t free_slots() const noexcept override { return 1; }
  [[nodiscard]] bool take_slot() noexcept override { return true; }
  void free_slot() noexcept override {}
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal&) noexcept override {
    path = request.path;
    for (const std::string_view part : request.body) sent += part;
    return std::make_unique<Answer>(answer, state);
  }
  http::CallState state = http::CallState::kEnded;
  std::string answer, path, sent;
};

// Cuts a stream at its third word, refuses whom it is told to, and keeps how calls ended.
class Watch final : public policy::Policy {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "watch"; }
  [[nodiscard]] policy::Decision admit(policy::Call&) noexcept override {
    if (!refuses) return policy::Decision::go_on();
    policy::Decision decision;
    decision.verdict = policy::Verdict::kRefuse;
    decision.error = client_error(ErrorKind::kRateLimited, "");
    decision.refusal.kind = RefusalKind::kTokens;
    return decision;
  }
  [[nodiscard]] policy::Extension progress(policy::Call&, std::uint64_t tokens) noexcept override {
    return tokens < 3 ? policy::Extension::kGranted : policy::Extension::kCut;
  }
  void record(const policy::Call& call, const policy::Outcome& outcome) noexcept override {
    endpoint = call.endpoint;
    end = outcome.reason;
    usage = outcome.usage;
  }
  bool refuses = false;
  std::string endpoint;
  EndReason end = EndReason::kFault;
  Usage usage;
};

class ToyDialectTest : public test::LoopTest {
 protected:
  ToyDialectTest() {
    const identity::Tenant& tenant = directory.add_tenant(1, "acme", {});
    const identity::User& user = directory.add_user(2, tenant, "ada", {});
    directory.add_key({.id = 3, .user = &user, .hash = secret.hash, .expires = {}, .models = {}, .allowance = {}});
    directory.loaded();
    auto conf = std::make_shared<Conf>();
    conf->models = std::make_shared<const NameMap<ModelSettings>>(NameMap<ModelSettings>{
        {"m", ModelSettings{.index = 0, .max_output = 100, .upstream_name = "its-m", .meters = {}}}});
    std::vector<std::unique_ptr<policy::Policy>> policies;
    policies.push_back(std::make_unique<Watch>());
    watch = static_cast<Watch*>(policies.back().get());
    conf->chain = std::make_shared<policy::Chain>(std::move(policies));
    worker.conf = std::move(conf);
    auto models = std::make_shared<upstream::Models>();
    models->known["m"] = {.everyone = true, .tenants = {}, .places = {place}, .upstreams = {}};
    worker.pool.set_models(std::move(models));
  }

  // What a client is answered that posts `body` to `path`: head and body as they come.
  std::string post(std::string_view path, std::string_view body) {
    test::StreamPair pair = test::connected_pair(loop);
    const std::string request =
        "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + std::string(secret.text) +
        "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
    std::string answer;
    group.spawn(ask(*pair.client, request, answer));
    run(serve(worker, std::move(pair.server)));
    drain();
    return answer;
  }
  static Task<void> ask(net::Stream& client, std::string request, std::string& answer) {
    const net::Deadline deadline = net::Deadline::after(std::chrono::seconds(10));
    (void)co_await client.write(request, deadline);
    std::array<char, 4096> block;
    for (;;) {
      const Result<std::size_t> got = co_await client.read_some(block, deadline);
      if (!got || *got == 0) break;
      answer.append(block.data(), *got);
    }
  }
  static Task<void> serve(Worker& worker, std::unique_ptr<net::Stream> stream) {
    http::h1::ServerConnection client(std::move(stream), {});
    const Result<const http::RequestHead*> head = co_await client.read_head();
    if (!head) co_return;
    const Cors cors;
    const Arrival arrival{.address = "127.0.0.0", .cors = cors};
    Exchange exchange(worker, client, arrival);
    co_await exchange.run();
    client.stream().close();
  }

  ManualClock clock;
  identity::NewSecret secret = identity::create_secret(identity::kApiKeyPrefix);
  identity::KeyDirectory directory;
  HeldBytes buffered{1 << 20};
  observe::Metrics metrics{1};
  observe::Meters meters{metrics, {}};
  WorkerMetrics worker_metrics{meters, metrics.shard(0)};
  observe::Log log{{.level = observe::Level::kError}};
  const openai::OpenAi openai{};
  const test::ToyDialect toy{};
  const dialect::Table dialects{&openai, &toy};
  Worker worker{loop, dialects, directory, clock, buffered, worker_metrics, log, 1};
  std::shared_ptr<Toy> place = std::make_shared<Toy>();
  Watch* watch = nullptr;
};

TEST_F(ToyDialectTest, AWholeAnswerPassesAndIsCounted) {
  place->answer = R"({"said":"good day"})";
  const std::string answer = post("/toy/say", "m\nsay good day");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n{\"said\":\"good day\"}")) << answer;
  EXPECT_EQ(place->path, "/toy/say");
  EXPECT_EQ(place->sent, "its-m\nsay good day");
  EXPECT_EQ(watch->endpoint, "toy.say");
  EXPECT_EQ(watch->end, EndReason::kCompleted);
  EXPECT_EQ(watch->usage.source, UsageSource::kEstimated) << "the answer says nothing of its prompt";
  EXPECT_EQ(watch->usage.completion_tokens, 2u);
}

TEST_F(ToyDialectTest, AStreamPassesToItsOwnEnd) {
  place->answer = "data: good\n\ndata: day\n\nevent: end\ndata: -\n\n";
  const std::string answer = post("/toy/say", "m stream\nsay good day");
  EXPECT_NE(answer.find("data: good\n\ndata: day\n\nevent: end\ndata: \n\n"), std::string::npos) << answer;
  EXPECT_EQ(watch->end, EndReason::kCompleted);
  EXPECT_EQ(watch->usage.completion_tokens, 2u);
}

TEST_F(ToyDialectTest, ABudgetCutsAStreamInItsWords) {
  place->answer = "data: good\n\ndata: day\n\ndata: to\n\n";
  place->state = http::CallState::kRunning;
  const std::string answer = post("/toy/say", "m stream\nsay more");
  EXPECT_NE(answer.find("data: to\n\nevent: end\ndata: enough\n\n"), std::string::npos) << answer;
  EXPECT_EQ(watch->end, EndReason::kBudgetCut);
}

TEST_F(ToyDialectTest, AnAnswerInTheOtherFormIsConverted) {
  place->answer = R"({"said":"good day"})";
  EXPECT_NE(post("/toy/say", "m stream\nx").find("data: good\n\ndata: day\n\nevent: end"), std::string::npos);
  place->answer = "data: good\n\ndata: day\n\nevent: end\ndata: -\n\n";
  EXPECT_TRUE(post("/toy/say", "m\nx").ends_with(R"({"said":"good day"})"));
}

TEST_F(ToyDialectTest, ErrorsAreToldInItsWords) {
  EXPECT_TRUE(post("/toy/say", "m").ends_with(R"({"oops":"What is to be said?"})"));
  EXPECT_TRUE(post("/toy/sing", "m\nx").ends_with(R"({"oops":"A toy can only be told to say something."})"));
  EXPECT_NE(post("/toy/say", "nobody\nx").find(R"({"oops":"The model does not exist)"), std::string::npos);
  watch->refuses = true;
  EXPECT_TRUE(post("/toy/say", "m\nx").ends_with(R"({"oops":"enough"})"));
  EXPECT_EQ(watch->end, EndReason::kRefused);
}

TEST_F(ToyDialectTest, TheOtherDialectIsNoneTheWiser) {
  const std::string answer = post("/v1/chat/completions", R"({"model":"nobody","messages":[]})");
  EXPECT_NE(answer.find(R"("code":"model_not_found")"), std::string::npos) << answer;
}

}  // namespace
}  // namespace sluice::proxy
