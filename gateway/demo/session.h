// One connection of a demo model: request, answer, and again.
#pragma once

#include <simdjson.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "demo/answer_form.h"
#include "demo/service.h"
#include "http/h1/server_connection.h"
#include "net/signal.h"

namespace sluice::demo {

// Thread:   its loop's.
// Lifetime: the service and the loop outlive it; run() has returned before destruction.
// Cancel:   stop().
class Session final {
 public:
  Session(Service& service, net::Loop& loop, std::unique_ptr<net::Stream> stream);

  Task<void> run();
  // Closes the connection and ends a pause.
  void stop() noexcept;

 private:
  enum class Next : std::uint8_t {
    kGoOn,         // the answer is not over
    kNextRequest,  // it is
    kClose,        // it is, and so is the connection
    kClientLeft,
  };

  Task<Next> handle(const http::RequestHead& head);
  Task<Next> look(const http::RequestHead& head);
  Task<Next> call(const http::RequestHead& head, Kind kind);
  Task<Next> answer(const Plan& plan);
  Task<Next> answer_whole(const Plan& plan);
  Task<Next> answer_stream(const Plan& plan);
  Task<Next> run_tokens(const Plan& plan, AnswerForm& form, EventText& text);
  Task<Next> half_way(const Plan& plan, AnswerForm& form, EventText& text);
  // The answers that a fault puts in place of the true one; kGoOn: none was asked for.
  Task<Next> refuse(const Plan& plan);
  Task<Next> send(unsigned status, std::string_view body, std::string_view content_type = "application/json",
                  std::span<const http::Header> more = {});
  Task<Next> send_pending(EventText& text);
  Task<Next> end(EventText& text);
  // Until `at`. kClientLeft: that, or stop().
  Task<Next> pause(MonoTime at);
  [[nodiscard]] Plan plan_of(Ask ask, const http::RequestHead& head);

  Service& service_;
  http::h1::ServerConnection connection_;
  net::Signal wake_;
  simdjson::dom::parser parser_;
  bool stopped_ = false;
};

}  // namespace sluice::demo
