// What an answer is and what it says of itself, and the three that go through one: a filter of a stream, a walk over a
// whole answer, and what puts a stream together. Each dialect has its own behind these interfaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/usage.h"
#include "dialect/usage_reader.h"

namespace sluice::dialect {

// What an answer is, told by its first bytes: labels are wrong or missing with many servers.
enum class AnswerKind : std::uint8_t {
  kUndecided,  // more bytes have to come
  kObject,     // a JSON object
  kArray,      // a JSON array, or a text that begins as one
  kEvents,     // SSE
  kOther,      // another JSON value, a page, plain text
};
[[nodiscard]] AnswerKind kind_of(std::string_view bytes) noexcept;
// Whether they are the beginning of a web page, which some server in between may have sent.
[[nodiscard]] bool is_page(std::string_view bytes) noexcept;

// How an answer that is whole came to its end, as it says itself.
enum class Ending : std::uint8_t { kComplete, kIncomplete, kFailed };

// How a stream stands.
enum class StreamState : std::uint8_t {
  kOpen,
  kDone,    // the dialect's end was seen
  kError,   // the upstream sent an error event; it was passed on in the dialect's form
  kBroken,  // not SSE, or an event beyond its limit
};

enum class Converted : std::uint8_t {
  kDone,
  kNot,  // nothing of this kind can be made of it; the output is of no use
};

// The ids under which a model server keeps an answer and its parts, as the answer tells them.
class KeptIds final {
 public:
  static constexpr std::size_t kMostItems = 256;

  // What is no id (is_stored_id()), or was told before, or is beyond the bound, is left out.
  void set_answer(std::string_view id);
  void add_item(std::string_view id);

  [[nodiscard]] const std::string& answer() const noexcept { return answer_; }
  [[nodiscard]] const std::vector<std::string>& items() const noexcept { return items_; }
  // Grows with each id.
  [[nodiscard]] std::size_t count() const noexcept { return items_.size() + (answer_.empty() ? 0 : 1); }

 private:
  std::string answer_;
  std::vector<std::string> items_;
};

struct FilterOptions {
  bool client_wants_usage = false;    // pass the one usage chunk on
  std::uint64_t choices = 1;          // as CallBody::choices: these end the stream together
  std::uint64_t prompt_estimate = 0;  // for the usage that cut() tells the client
  std::size_t event_limit_bytes = 32 * 1024 * 1024;
  ClaimLimit claim_limit = {};   // usage beyond it is not believed
  std::string_view secret = {};  // our key of the upstream, which no error repeats; outlives the filter
};

// Filters one SSE answer: takes bytes as they come, hands on whole events in the form that SDKs of the dialect parse, and
// counts. Linear time whatever the split; an event may be as large as FilterOptions::event_limit_bytes.
// Thread: owning worker only. No call throws or waits.
class EventFilter {
 public:
  virtual ~EventFilter() = default;

  // Consumes what it can of `in` (an unfinished event stays there) and appends what the client gets to `out`. Events
  // behind the end are dropped. The dialect's last event may be held back: finish() gives it, so that it leaves together
  // with the last chunk of the transfer.
  virtual StreamState filter(Buffer& in, Buffer& out) noexcept = 0;
  // Whole events are left in `in`: one call takes so many at most, and the caller gives way between two.
  [[nodiscard]] virtual bool has_more() const noexcept = 0;
  // What is kept between two calls, beside what stays in `in`.
  [[nodiscard]] virtual std::size_t held_bytes() const noexcept = 0;

  // The upstream has ended. kDone where the stream had an end of its dialect; else kBroken: an end without an end.
  virtual StreamState finish(Buffer& out) noexcept = 0;
  // A clean end of our own making (a budget is used up), as if the model had met its cap.
  virtual void cut(Buffer& out) noexcept = 0;
  // The upstream or its transfer has failed: the end of what the client got. `event`: the error as an event of the
  // client's dialect; `error`: as the body of an answer.
  virtual void fail(std::string_view event, std::string_view error, Buffer& out) noexcept {
    (void)error;
    out.append(event);
  }

  [[nodiscard]] virtual std::uint64_t completion_tokens() const noexcept = 0;  // counted as they passed
  [[nodiscard]] virtual std::uint64_t images() const noexcept { return 0; }    // that were made
  // Measured if the upstream said so and is believed, else estimated from what passed and `prompt_estimate`, none if
  // nothing passed.
  [[nodiscard]] virtual Usage usage(std::uint64_t prompt_estimate) const noexcept = 0;
  [[nodiscard]] virtual Ending ending() const noexcept = 0;
  // The last that the upstream said of its usage, believed or not; none: nothing.
  [[nodiscard]] virtual const std::optional<UsageReading>& told() const noexcept = 0;
  [[nodiscard]] virtual std::string_view model() const noexcept = 0;  // as the upstream named it
  // Null: answers of this kind are not kept.
  [[nodiscard]] virtual const KeptIds* kept_ids() const noexcept { return nullptr; }
};

// Walks a whole answer as it passes, in pieces of any size and in bounded memory.
// Thread:   one.
// Lifetime: the endpoint outlives it.
class WholeAnswer {
 public:
  virtual ~WholeAnswer() = default;

  // The next bytes. What it says below is the same however they were split.
  virtual void take(std::string_view bytes) = 0;

  enum class Form : std::uint8_t {
    kOpen,    // more has to come
    kWhole,   // one object (or array, where its endpoint has such answers), and white space at most around it
    kBroken,  // another value, or something stands behind it
  };
  [[nodiscard]] virtual Form form() const noexcept = 0;
  [[nodiscard]] virtual bool is_answer() const noexcept = 0;   // it has what an answer of this endpoint has
  [[nodiscard]] virtual bool says_error() const noexcept = 0;  // it is an error, whatever its status
  [[nodiscard]] virtual Ending ending() const noexcept = 0;
  // It says of itself that it is not at its end: what is to come is asked for by its id.
  [[nodiscard]] virtual bool runs_on() const noexcept { return false; }
  [[nodiscard]] virtual std::optional<UsageReading> told() const noexcept = 0;
  [[nodiscard]] virtual std::string_view model() const noexcept = 0;         // unescaped; empty: it does not say
  [[nodiscard]] virtual std::uint64_t text_bytes() const noexcept = 0;       // of what was generated
  [[nodiscard]] virtual std::uint64_t images() const noexcept { return 0; }  // that were made
  // Null: answers of this kind are not kept.
  [[nodiscard]] virtual const KeptIds* kept_ids() const noexcept { return nullptr; }
};

// A stream as the whole answer that it should have been, for a server that streams unasked.
// Thread:   one.
// Lifetime: the endpoint outlives it.
class Assembly {
 public:
  virtual ~Assembly() = default;
  // Takes whole events as an EventFilter lets them leave, its usage among them, and keeps what they say.
  virtual void take(Buffer& events) = 0;
  [[nodiscard]] virtual std::size_t size_bytes() const noexcept = 0;  // of what is kept
  // The error that the stream ended with, as JSON; empty: none.
  [[nodiscard]] virtual std::string_view error() const noexcept = 0;
  [[nodiscard]] virtual Converted append_to(Buffer& out) const = 0;
};

}  // namespace sluice::dialect
