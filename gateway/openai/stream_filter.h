// A stream of this dialect, event by event.
#pragma once

#include <memory>

#include "dialect/answer.h"
#include "openai/endpoint.h"
#include "openai/stream_progress.h"

namespace sluice::openai {

// In the form that every SDK parses:
//  - removes id:, retry:, comments, data-less events, a BOM; CR, LF and CRLF come in, LF goes out; event: is kept
//  - removes the usage chunk and usage members that the client did not ask for; keeps exactly one where it did
//  - removes a top-level "error":null; an error event in any form leaves as data: {"error":{…}} and ends the stream
//  - counts completion tokens, takes the last usage (cumulative ones are not summed), knows open choices
// Its end is [DONE], a terminal event of Responses, or the event that says that all is made; "data: [DONE]" is held back.
class StreamFilter final : public dialect::EventFilter {
 public:
  using Options = dialect::FilterOptions;
  StreamFilter(const Endpoint& endpoint, const Options& options) : progress_(endpoint, options) {}

  StreamState filter(Buffer& in, Buffer& out) noexcept override;
  static constexpr unsigned kEventsAtOnce = 256;
  [[nodiscard]] bool has_more() const noexcept override { return progress_.has_more; }
  [[nodiscard]] std::size_t held_bytes() const noexcept override { return progress_.held_usage.size(); }

  // kDone also without [DONE] where every choice had its finish_reason.
  StreamState finish(Buffer& out) noexcept override;
  // Every open choice ends with finish_reason "length", then the usage chunk if asked for, then [DONE]; for Responses
  // a response.incomplete event.
  void cut(Buffer& out) noexcept override;

  [[nodiscard]] std::uint64_t events() const noexcept { return progress_.events; }  // data events passed on
  // One a delta at least, by text length else. Of what is made nothing: it cannot be cut.
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept override {
    return progress_.makes() ? 0 : progress_.counted();
  }
  [[nodiscard]] std::uint64_t images() const noexcept override { return progress_.images; }
  [[nodiscard]] Usage usage(std::uint64_t prompt_estimate) const noexcept override {
    return progress_.estimate(prompt_estimate);
  }
  [[nodiscard]] Ending ending() const noexcept override { return progress_.ending; }  // of Responses
  [[nodiscard]] const std::optional<UsageReading>& told() const noexcept override { return progress_.usage; }
  [[nodiscard]] std::string_view model() const noexcept override { return progress_.model; }
  [[nodiscard]] const dialect::KeptIds* kept_ids() const noexcept override {
    return api_of(progress_.endpoint) == Api::kResponse ? &progress_.ids : nullptr;
  }

 private:
  StreamProgress progress_;
};

}  // namespace sluice::openai
