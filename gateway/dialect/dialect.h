// What a dialect is: how clients of one API write calls, and how they want to be answered. One object of each stands in
// the table (dialect/table); the exchange knows a call's dialect by this interface alone.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/refusal_kind.h"
#include "base/result.h"
#include "dialect/answer.h"
#include "dialect/call_body.h"
#include "dialect/endpoint.h"
#include "dialect/error_answer.h"
#include "wire/parser.h"

namespace sluice::dialect {

// A model as a client may know it.
struct ListedModel {
  std::string_view name;
  std::int64_t created = 0;          // seconds since 1970
  std::uint64_t context_tokens = 0;  // 0: not known
};

// A file that is kept for a user, as far as the gateway knows it.
struct ListedFile {
  std::string_view id;
  std::string_view purpose;
  std::uint64_t bytes = 0;
  std::int64_t created = 0;  // seconds since 1970
};

// Whether more stand behind a list.
enum class ListEnd : std::uint8_t { kAll, kMore };

// The path of an endpoint written in another way.
struct Alias {
  std::string_view path = {};   // the endpoint's own; empty: it is no such path
  std::string_view model = {};  // the model that it names in place of the body's, still percent-encoded; empty: none
};

// Thread:   any: it has no state.
// Lifetime: outlives every call.
class Dialect {
 public:
  virtual ~Dialect() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;  // "openai", as conf files say it

  // --- its endpoints ---

  [[nodiscard]] virtual std::span<const Endpoint> endpoints() const noexcept = 0;
  // What a path stands for that some of the dialect's clients write otherwise than endpoints() has it.
  // Lifetime: the alias points into `path` and `scratch`.
  [[nodiscard]] virtual Alias alias_of(std::string_view /*path*/, std::span<char> /*scratch*/) const noexcept {
    return {};
  }
  // What to tell whoever asked for a path that is no endpoint (static text); null: nothing, it is not nearly one of ours.
  [[nodiscard]] virtual const char* advice_for(std::string_view path) const noexcept = 0;
  // The same to who is known for a client of this dialect: what it may not have meant, too.
  [[nodiscard]] virtual const char* advice_to_clients(std::string_view path) const noexcept { return advice_for(path); }
  // A header that its clients send with everything and no others do, in lower case: by it a client is known where the path
  // is any dialect's, or nobody's. Empty: there is none.
  [[nodiscard]] virtual std::string_view mark_of_clients() const noexcept = 0;

  // --- calls ---

  // REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `body` (Buffer::prepare gives them).
  // Errors: kBadRequest, with static text that says what is wrong.
  [[nodiscard]] virtual Result<CallBody> read_call(const Endpoint& endpoint, std::string_view body,
                                                   wire::Parser& parser) const noexcept = 0;
  // The same for a form (BodyKind::kMultipart); `content_type` names its boundary.
  [[nodiscard]] virtual Result<CallBody> read_form(const Endpoint&, std::string_view content_type,
                                                   std::string_view body) const noexcept {
    (void)content_type, (void)body;
    return client_error(ErrorKind::kBadRequest, "This endpoint takes no forms.");
  }
  // Whichever of them the endpoint takes.
  [[nodiscard]] Result<CallBody> read(const Endpoint& endpoint, std::string_view content_type, std::string_view body,
                                      wire::Parser& parser) const noexcept {
    return endpoint.body == BodyKind::kMultipart ? read_form(endpoint, content_type, body)
                                                 : read_call(endpoint, body, parser);
  }
  // Of Work::kUpload: appends the form with the lines of its batch edited. Error: they cannot be; nobody reads `out` then.
  // REQUIRES: call.upload->lines != 0, and padding as read_call().
  [[nodiscard]] virtual Status append_edited_upload(Buffer& out, const CallBody& call, std::string_view body,
                                                    const LineEdits& edits) const {
    (void)out, (void)call, (void)body, (void)edits;
    return self_error(ErrorKind::kInternal, "this dialect has no batches");
  }
  // Every cap present ends at or below the clamp; with none present one is inserted.
  // Lifetime: `body` and `into` outlive the use of the parts.
  virtual void edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits,
                         EditedBody& into) const = 0;

  // --- members that we add to calls ---

  // As what a cap is inserted; kAuto: as the endpoint has it.
  [[nodiscard]] virtual std::string_view cap_member(const Endpoint& endpoint, CapMember which) const noexcept = 0;
  // Another name for the same, which older or newer servers know; empty: there is none.
  [[nodiscard]] virtual std::string_view other_cap_member(const Endpoint& endpoint,
                                                          std::string_view name) const noexcept = 0;
  // The member by which usage is asked for.
  [[nodiscard]] virtual std::string_view usage_member() const noexcept = 0;
  // Whether the error `body`, in the words of any server, says that it does not know or support `member`, which is
  // one of the above.
  [[nodiscard]] virtual bool refuses_member(std::string_view body, std::string_view member) const = 0;

  // --- answers ---

  [[nodiscard]] virtual std::unique_ptr<EventFilter> filter(const Endpoint& endpoint,
                                                            const FilterOptions& options) const = 0;
  [[nodiscard]] virtual std::unique_ptr<WholeAnswer> walk(const Endpoint& endpoint) const = 0;
  // A stream put together, and a whole answer taken apart: its events are appended, as an upstream would have sent
  // them, made to go through a filter.
  [[nodiscard]] virtual std::unique_ptr<Assembly> assembly(const Endpoint& endpoint) const = 0;
  [[nodiscard]] virtual Converted append_as_events(Buffer& out, const Endpoint& endpoint,
                                                   std::string_view answer) const = 0;
  // What the call used whose answer is one line of a file that a batch has made. None: it does not say.
  // REQUIRES: padding as read_call().
  [[nodiscard]] virtual std::optional<UsageReading> told_in_batch(std::string_view line, wire::Parser& parser) const {
    (void)line, (void)parser;
    return std::nullopt;
  }
  // What keeps a client of a stream waiting: whole events.
  [[nodiscard]] virtual std::string_view ping() const noexcept = 0;

  // --- errors: the one place where an Error gets status and words ---

  // `message` empty: error.what, else the kind's own words. `why`: the limit or budget that refused, if one did.
  [[nodiscard]] virtual ErrorAnswer error_answer(const Error& error, std::string_view message = {},
                                                 RefusalKind why = RefusalKind::kNone) const = 0;
  // The error that an upstream answered with, in any form, in the dialect's. The upstream's words are kept for the
  // client where they are text, bounded, and never logged.
  // REQUIRES: padding as read_call().
  [[nodiscard]] virtual ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type,
                                                    std::string_view body) const = 0;
  // The error in a whole answer that came under a 2xx status, as some servers do; none: it has no error.
  [[nodiscard]] virtual std::optional<ErrorAnswer> error_in_answer(std::string_view body) const = 0;
  // The same as the last event of a stream that had begun.
  [[nodiscard]] virtual WipedString error_event(const ErrorAnswer& answer) const = 0;
  // Where clients of the dialect look for the id of their request, beside x-request-id: a header of every answer (empty:
  // nowhere else), and a member that is put into an error's body, where the dialect has one.
  [[nodiscard]] virtual std::string_view request_id_header() const noexcept = 0;
  virtual void add_request_id(ErrorAnswer& answer, std::string_view request_id) const = 0;

  // --- what we answer ourselves ---

  virtual void append_model(std::string& into, const ListedModel& model) const = 0;
  virtual void append_models(std::string& into, std::span<const ListedModel> models) const = 0;
  // The answer of an endpoint that lists what is kept (Work::kListStored).
  virtual void append_files(std::string& into, std::span<const ListedFile> files, ListEnd end) const {
    (void)into, (void)files, (void)end;
  }
  // The answer of an endpoint that counts a prompt (Work::kCount).
  virtual void append_count(std::string& into, std::uint64_t tokens) const = 0;
};

}  // namespace sluice::dialect
