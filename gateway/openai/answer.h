// What an answer says about itself: usage, finish, errors. Works on the bytes as they pass; nothing is re-parsed as a
// whole document where a look at a few members is enough.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/usage.h"
#include "openai/call_reader.h"
#include "openai/endpoint.h"
#include "openai/usage_reader.h"

namespace sluice::openai {

// What an answer is, told by its first bytes: labels are wrong or missing with many servers.
enum class AnswerKind : std::uint8_t {
  kUndecided,  // more bytes have to come
  kObject,     // a JSON object
  kEvents,     // SSE
  kOther,      // another JSON value, a page, plain text
};
[[nodiscard]] AnswerKind kind_of(std::string_view bytes) noexcept;

// How an answer that is whole came to its end, as it says itself.
enum class Ending : std::uint8_t { kComplete, kIncomplete, kFailed };

// How a stream stands.
enum class StreamState : std::uint8_t {
  kOpen,
  kDone,    // the dialect's end was seen: [DONE], or a terminal Responses event
  kError,   // the upstream sent an error event; it was passed on in the dialect's form
  kBroken,  // not SSE, or an event beyond its limit
};

// Filters one SSE answer: takes bytes as they come, hands on whole events in the form every SDK parses.
//  - removes id:, retry:, comments, data-less events, a BOM; CR, LF and CRLF come in, LF goes out; event: is kept
//  - removes the usage chunk and usage members that the client did not ask for; keeps exactly one where it did
//  - removes a top-level "error":null; an error event in any form leaves as data: {"error":{…}} and ends the stream
//  - counts completion tokens, takes the last usage (cumulative ones are not summed), knows open choices
// Linear time whatever the split; an event may be as large as `event_limit_bytes`.
// Thread: owning worker. No call throws or waits.
class StreamFilter final {
 public:
  struct Options {
    bool client_wants_usage = false;    // pass the one usage chunk on
    std::uint64_t choices = 1;          // as CallBody::choices: these end the stream together
    std::uint64_t prompt_estimate = 0;  // for the usage that cut() tells the client
    std::size_t event_limit_bytes = 32 * 1024 * 1024;
    ClaimLimit claim_limit = {};  // usage beyond it is not believed
  };
  StreamFilter(const Endpoint& endpoint, Options options);
  ~StreamFilter();

  // Consumes what it can of `in` (an unfinished event stays there) and appends what the client gets to `out`. Events
  // behind the end are dropped. "data: [DONE]" is held back: finish() gives it, so that it leaves together with the
  // last chunk of the transfer.
  StreamState filter(Buffer& in, Buffer& out) noexcept;
  // Whole events are left in `in`: one call takes kEventsAtOnce of them at most, and the caller gives way between two.
  static constexpr unsigned kEventsAtOnce = 256;
  [[nodiscard]] bool has_more() const noexcept;
  // What is kept between two calls, beside what stays in `in`.
  [[nodiscard]] std::size_t held_bytes() const noexcept;

  // The upstream has ended. Appends the held-back [DONE] and answers kDone where the stream had an end of its dialect
  // (or every choice had its finish_reason); else kBroken: an end without an end.
  StreamState finish(Buffer& out) noexcept;

  // A clean end of our own making (a budget is used up): every open choice ends with finish_reason "length", then the
  // usage chunk if asked for, then [DONE]; for Responses a response.incomplete event.
  void cut(Buffer& out) noexcept;

  [[nodiscard]] std::uint64_t events() const noexcept;             // data events passed on
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept;  // counted: one a delta at least, by text length else
  // Measured if the upstream said so and is believed, else estimated from what passed and `prompt_estimate`, none if
  // nothing passed.
  [[nodiscard]] Usage usage(std::uint64_t prompt_estimate) const noexcept;
  [[nodiscard]] Ending ending() const noexcept;  // of Responses, whose last event says so
  // The last that the upstream said of its usage, believed or not; none: nothing.
  [[nodiscard]] const std::optional<UsageReading>& told() const noexcept;
  [[nodiscard]] std::string_view model() const noexcept;  // as the upstream named it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::openai
