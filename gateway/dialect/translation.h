// A translation: how a call of one endpoint is made at a place that does not have it and has another, and how the answer
// comes back. It is the exception: where both speak the same, bytes pass (dialect/dialect.h). The pairs are in
// translate/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "dialect/answer.h"

namespace sluice::dialect {

// What a translated answer says that the answer itself does not.
// Lifetime: what it refers to outlives the translator.
struct AnswerFacts {
  std::string_view unique = {};       // of this call: ids of the client's dialect are made of it, "msg_" + unique
  std::string_view model = {};        // as the client asked for it
  std::uint64_t prompt_estimate = 0;  // tokens; for what is told before the server has told its usage
  std::string_view settings = {};     // of the call, as append_settings() gave them
};

// Translates a stream as it passes.
// Thread: one. No call throws or waits.
class EventTranslator {
 public:
  virtual ~EventTranslator() = default;
  // Takes whole events as the place's EventFilter lets them leave, its usage and errors among them, and appends what the
  // client gets. The client's last event may be held back until finish().
  virtual void translate(std::string_view events, Buffer& out) noexcept = 0;
  // The stream has come to an end of its dialect (also one that a cut made): what the client's still lacks.
  virtual void finish(Buffer& out) noexcept = 0;
  // As EventFilter::fail().
  virtual void fail(std::string_view event, std::string_view error, Buffer& out) noexcept {
    (void)error;
    out.append(event);
  }
  // What is kept between two calls.
  [[nodiscard]] virtual std::size_t held_bytes() const noexcept = 0;
};

// Thread:   any: it has no state.
// Lifetime: outlives every call.
class Translation {
 public:
  virtual ~Translation() = default;
  [[nodiscard]] virtual std::string_view from() const noexcept = 0;  // the client's: Endpoint::name
  [[nodiscard]] virtual std::string_view to() const noexcept = 0;    // the place's: Endpoint::name

  // Appends the call's body in the place's dialect; the model's name stays as it is. Parts of it that only the client's
  // dialect knows and that change no answer (hints, cache marks) are left out.
  // REQUIRES: Dialect::read_call() has read `body` without error.
  // Errors: kBadRequest, with static text that says what cannot be asked for there.
  [[nodiscard]] virtual Status append_call(Buffer& out, std::string_view body) const noexcept = 0;

  // Appends what of the call its answer repeats, bounded, in a form of the translation's own. REQUIRES: append_call() took
  // `body`.
  virtual void append_settings(Buffer& out, std::string_view body) const { (void)out, (void)body; }

  [[nodiscard]] virtual std::unique_ptr<EventTranslator> events(const AnswerFacts& facts) const = 0;
  // A whole answer that is one, as its dialect's WholeAnswer found it. REQUIRES: padding behind `answer`.
  [[nodiscard]] virtual Converted append_answer(Buffer& out, std::string_view answer,
                                                const AnswerFacts& facts) const = 0;
};

}  // namespace sluice::dialect
