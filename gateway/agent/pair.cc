#include "agent/pair.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "agent/credentials.h"
#include "base/json.h"
#include "http/h1/client_pool.h"
#include "http/read_answer.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::seconds kAnswerTime{20};
constexpr std::size_t kAnswerBytes = 256 * 1024;

struct Answer {
  unsigned status = 0;
  std::string body;
  std::optional<Error> error;
};

Task<void> post(net::Loop& loop, http::h1::ClientPool& pool, std::string_view body, Answer& answer) {
  net::Signal wake(loop);
  const http::Header type{"content-type", "application/json"};
  const http::OutgoingRequest request{"POST", "/.sluice/v1/pair", {&type, 1}, {&body, 1}};
  const net::Deadline deadline = net::Deadline::after(kAnswerTime);
  const std::unique_ptr<http::OutgoingCall> call = pool.start(request, wake, deadline);
  if (const Status read = co_await http::read_answer(*call, wake, deadline, kAnswerBytes); !read) {
    answer.error = read.error();
  } else {
    answer.status = call->head()->status;
    answer.body = call->body().view();
  }
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

absl::Status explain(const PairOptions& options, const Answer& answer) {
  if (answer.error) {
    const Error& error = *answer.error;
    // A code of the system says more than that there was no connection; where there is none, the words do.
    if (error.kind == ErrorKind::kConnect && error.os_code != 0)
      return absl::UnavailableError(absl::StrCat("cannot reach ", options.gateway, ": ", std::strerror(error.os_code),
                                                 "; check the URL, and whether the gateway runs"));
    return absl::UnavailableError(absl::StrCat("cannot reach ", options.gateway, ": ", error.what,
                                               "; check --gateway, and --ca if the gateway's CA is its own"));
  }
  const auto object = parse_object(answer.body, kAnswerBytes);
  const json::value* error = object ? object->if_contains("error") : nullptr;
  std::string reason;
  if (error != nullptr && error->is_object()) reason = text_of(error->get_object(), "message");
  return absl::PermissionDeniedError(
      absl::StrCat("the gateway refused to pair (status ", answer.status, ")", reason.empty() ? "" : ": ", reason));
}

absl::StatusOr<Answer> ask_gateway(const PairOptions& options, const http::BaseUrl& url, const std::string& body) {
  absl::StatusOr<ContextPtr> context = make_client_context(options.ca);
  if (!context.ok()) return context.status();
  Answer answer;
  net::Loop loop;
  std::optional<std::string> fault;
  net::TaskGroup tasks(loop, [&fault](const char* what) { fault = what; });
  {
    http::h1::ClientPoolOptions client;
    client.url = url;
    client.context = *context;
    http::h1::ClientPool pool(loop, tasks, std::move(client));
    tasks.spawn(post(loop, pool, body, answer));
    while (answer.status == 0 && !answer.error && !fault && loop.io().run_one() != 0) {
    }
  }
  while (tasks.running() != 0 && loop.io().run_one() != 0) {
  }
  if (fault) return absl::InternalError(*fault);
  return answer;
}

}  // namespace

absl::Status pair(const PairOptions& options) {
  const std::optional<http::BaseUrl> url = http::parse_base_url(options.gateway);
  if (!url || !url->tls) {
    return absl::InvalidArgumentError(absl::StrCat("--gateway ", options.gateway, " is not an https:// URL"));
  }
  // The pairing key is good once: all that can go wrong here does so before it is shown.
  if (absl::Status ready = Credentials::prepare(options.dir); !ready.ok()) return ready;
  absl::StatusOr<KeyPtr> key = make_key();
  if (!key.ok()) return key.status();
  const std::string name = options.name.empty() ? host_name() : options.name;
  absl::StatusOr<std::string> csr = make_csr(**key, name);
  if (!csr.ok()) return csr.status();
  std::string ca;
  if (!options.ca.empty()) {
    std::ifstream file(options.ca, std::ios::binary);
    ca.assign(std::istreambuf_iterator<char>(file), {});
    if (ca.empty()) return absl::NotFoundError(absl::StrCat("cannot read the CA file ", options.ca));
  }
  json::object request;
  request["pairing_key"] = options.pairing_key;
  request["csr"] = *csr;
  request["name"] = name;
  absl::StatusOr<Answer> answer = ask_gateway(options, *url, json::serialize(request));
  if (!answer.ok()) return answer.status();
  if (answer->status != 200) return explain(options, *answer);
  const auto object = parse_object(answer->body, kAnswerBytes);
  if (!object || text_of(*object, "certificate").empty() || text_of(*object, "agent_id").empty()) {
    return absl::InternalError(absl::StrCat(options.gateway, " does not answer like a sluice gateway"));
  }
  std::vector<std::string> gateways;
  if (const json::array* urls = array_of(*object, "gateways")) {
    for (const json::value& member : *urls) {
      if (member.is_string()) gateways.emplace_back(member.get_string().c_str());
    }
  }
  if (gateways.empty()) gateways.push_back(options.gateway);
  const absl::Status kept = Credentials::create(options.dir, **key, text_of(*object, "certificate"), ca,
                                                text_of(*object, "agent_id"), gateways);
  if (kept.ok()) return kept;
  const std::string agent_id(text_of(*object, "agent_id"));
  return absl::Status(kept.code(), absl::StrCat(kept.message(), "; the pairing key is spent: make a new one with ",
                                                "`sluice pair create`, and revoke ", agent_id));
}

}  // namespace sluice::agent
