// A call that could not even begin.
#pragma once

#include "http/call.h"

namespace sluice::tunnel {

// Thread: any one.
class FailedCall final : public http::OutgoingCall {
 public:
  explicit FailedCall(Error error) noexcept : error_(error) {}
  [[nodiscard]] http::CallState state() const noexcept override { return http::CallState::kFailed; }
  [[nodiscard]] const http::AnswerHead* head() const noexcept override { return nullptr; }
  [[nodiscard]] Buffer& body() noexcept override { return body_; }
  void taken(std::size_t) noexcept override {}
  [[nodiscard]] bool holds_request() const noexcept override { return false; }
  [[nodiscard]] Error error() const noexcept override { return error_; }

 private:
  Error error_;
  Buffer body_;
};

}  // namespace sluice::tunnel
