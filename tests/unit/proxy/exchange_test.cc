// What run() leaves behind when something is thrown in the middle of it. Memory that runs out is what throws: operator
// new is replaced, so not in sanitizer builds, which bring one of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include "proxy/exchange.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <new>

#include "base/manual_clock.h"
#include "http/h1/server_connection.h"
#include "identity/key_directory.h"
#include "identity/secret_key.h"
#include "ledger/ledger.h"
#include "openai/openai.h"
#include "support/loop_runner.h"

namespace {

thread_local std::size_t least_refused = std::numeric_limits<std::size_t>::max();  // bytes

void* allocate(std::size_t size) {
  if (size >= least_refused) throw std::bad_alloc();
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice::proxy {
namespace {

constexpr std::size_t kAnswerBytes = 200 << 10;

// A whole answer that is there at once; from then on no more of its size can be had.
class LargeAnswer final : public http::OutgoingCall {
 public:
  LargeAnswer() {
    head_.status = 200;
    head_.content_type = "application/json";
    // An error under status 200, which is copied to be read: the padding behind it needs a new block.
    body_.append(std::string(kAnswerBytes, ' '));
    const std::string begin = R"({"error":"x","padding":")";
    const std::string filler(body_.capacity() - begin.size() - 2, ' ');
    body_.clear();
    body_.append(begin + filler + "\"}");
    least_refused = kAnswerBytes;
  }
  ~LargeAnswer() override { least_refused = std::numeric_limits<std::size_t>::max(); }
  [[nodiscard]] http::CallState state() const noexcept override { return http::CallState::kEnded; }
  [[nodiscard]] const http::AnswerHead* head() const noexcept override { return &head_; }
  [[nodiscard]] Buffer& body() noexcept override { return body_; }
  void taken(std::size_t) noexcept override {}
  [[nodiscard]] bool holds_request() const noexcept override { return false; }
  [[nodiscard]] Error error() const noexcept override { return {}; }

 private:
  http::AnswerHead head_;
  Buffer body_;
};

class OneSlot final : public upstream::Place {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "one"; }
  [[nodiscard]] const char* kind() const noexcept override { return "upstream"; }
  [[nodiscard]] upstream::CallTimes times() const noexcept override { return {}; }
  [[nodiscard]] bool reachable() const noexcept override { return true; }
  [[nodiscard]] std::int64_t slots() const noexcept override { return places.count(); }
  [[nodiscard]] std::int64_t free_slots() const noexcept override { return places.free(); }
  [[nodiscard]] bool take_slot() noexcept override { return places.take(); }
  void free_slot() noexcept override { places.give(); }
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&,
                                                          net::Signal&) noexcept override {
    return std::make_unique<LargeAnswer>();
  }
  upstream::Slots places{1};
};

// Holds limits and budgets as the policies of plugins/ do, and counts records.
class Holds final : public policy::Policy {
 public:
  explicit Holds(ledger::Ledger& ledger) : ledger_(ledger) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "holds"; }
  [[nodiscard]] policy::Decision admit(policy::Call& call) noexcept override {
    const ledger::Scopes scopes{.key = call.caller.key_index};
    EXPECT_FALSE(ledger_.take_limits(call.ticket, scopes, call.prompt_estimate).refused());
    EXPECT_FALSE(
        ledger_.reserve(call.ticket, scopes, {.prompt = call.prompt_estimate, .output_cap = 100}).refusal.refused());
    return policy::Decision::go_on();
  }
  void finish(policy::Call& call, const policy::Outcome& outcome) noexcept override {
    ledger_.settle(call.ticket, outcome.usage);
    ledger_.release_limits(call.ticket, outcome.usage);
  }
  void record(const policy::Call&, const policy::Outcome& outcome) noexcept override { ends.push_back(outcome.reason); }
  std::vector<EndReason> ends;

 private:
  ledger::Ledger& ledger_;
};

class ExchangeTest : public test::LoopTest {
 protected:
  ExchangeTest() {
    const identity::Tenant& tenant = directory.add_tenant(1, "acme", {});
    const identity::User& user = directory.add_user(2, tenant, "ada", {});
    directory.add_key({.id = 3, .user = &user, .hash = secret.hash, .expires = {}, .models = {}, .allowance = {}});
    directory.loaded();
    ledger.set_scope(Scope::kKey, 0, 3, "", {.requests_per_minute = {}, .tokens_per_minute = {}, .concurrency = 1},
                     {{.amount = 1'000}});
    auto conf = std::make_shared<Conf>();
    conf->models = std::make_shared<const NameMap<ModelSettings>>(
        NameMap<ModelSettings>{{"m", ModelSettings{.index = 0, .max_output = 100, .upstream_name = {}, .meters = {}}}});
    std::vector<std::unique_ptr<policy::Policy>> policies;
    policies.push_back(std::make_unique<Holds>(ledger));
    holds = static_cast<Holds*>(policies.back().get());
    conf->chain = std::make_shared<policy::Chain>(std::move(policies));
    worker.conf = std::move(conf);
    auto models = std::make_shared<upstream::Models>();
    models->known["m"] = {.everyone = true, .tenants = {}, .places = {place}, .upstreams = {}};
    worker.pool.set_models(std::move(models));
  }

  std::string request() const {
    const std::string body = R"({"model":"m","messages":[{"role":"user","content":"hello"}]})";
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + std::string(secret.text) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static Task<void> send(net::Stream& client, std::string request) {
    (void)co_await client.write(request, net::Deadline::after(std::chrono::seconds(5)));
  }
  static Task<void> serve(Worker& worker, std::unique_ptr<net::Stream> stream, bool& threw) {
    http::h1::ServerConnection client(std::move(stream), {});
    const Result<const http::RequestHead*> head = co_await client.read_head();
    if (!head) co_return;
    const Cors cors;
    const Arrival arrival{.address = "127.0.0.0", .cors = cors};
    try {
      Exchange exchange(worker, client, arrival);
      co_await exchange.run();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    client.stream().close();
  }

  ManualClock clock;
  identity::NewSecret secret = identity::create_secret(identity::kApiKeyPrefix);
  identity::KeyDirectory directory;
  ledger::Ledger ledger{clock, {}};
  HeldBytes buffered{1 << 20};
  observe::Metrics metrics{1};
  observe::Meters meters{metrics, {}};
  WorkerMetrics worker_metrics{meters, metrics.shard(0)};
  observe::Log log{{.level = observe::Level::kError}};
  const openai::OpenAi openai{};
  const dialect::Table dialects{&openai};
  Worker worker{loop, dialects, directory, clock, buffered, worker_metrics, log, 1};
  std::shared_ptr<OneSlot> place = std::make_shared<OneSlot>();
  Holds* holds = nullptr;
};

TEST_F(ExchangeTest, AFaultFreesEveryHoldAndLeavesOneRecord) {
  test::StreamPair pair = test::connected_pair(loop);
  bool threw = false;
  group.spawn(send(*pair.client, request()));
  run(serve(worker, std::move(pair.server), threw));
  EXPECT_TRUE(threw);
  EXPECT_EQ(holds->ends, std::vector{EndReason::kFault});
  EXPECT_EQ(ledger.reserved(), 0u);
  for (const ledger::Explanation& line : ledger.explain({.key = 0})) EXPECT_EQ(line.used, 0u);
  EXPECT_EQ(place->free_slots(), 1);
  EXPECT_EQ(buffered.held(), 0u);
  EXPECT_TRUE(worker.running.empty());
}

}  // namespace
}  // namespace sluice::proxy
#endif
