// One request from its head to its end: exchange.cc shows every phase on one page.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/held_bytes.h"
#include "dialect/table.h"
#include "observe/trace.h"
#include "proxy/reply.h"
#include "proxy/worker.h"
#include "upstream/turn.h"

namespace sluice::upstream {
class Queued;
}

namespace sluice::proxy {

// How the client reached us.
// Lifetime: what it points to outlives the exchange.
struct Arrival {
  std::string_view address;  // truncated: "203.0.113.0" (/24) or "2001:db8:1::" (/48)
  policy::Peer peer{};
  const Cors& cors;  // of the listener
};

// How long a call waits: for any place that serves its model, and for a slot where all are taken.
struct Patience {
  net::Deadline hold, queue;
};

// Counts a body as it grows among the bytes that the process holds.
// Lifetime: what it refers to outlives it.
class BodyReserve final : public http::Incoming::Reserve {
 public:
  BodyReserve(HeldBytes& held, std::size_t& counted_bytes) noexcept : held_(held), counted_bytes_(counted_bytes) {}
  bool grow(std::size_t more_bytes) noexcept override {
    if (!held_.take(more_bytes)) return false;
    counted_bytes_ += more_bytes;
    return true;
  }

 private:
  HeldBytes& held_;
  std::size_t& counted_bytes_;
};

// What the upstream is sent: of no use once it has left, which is long before a stream ends.
// Lifetime: not moved, its parts point into each other.
struct UpstreamRequest final : Pooled {
  Buffer body;                                              // as the client sent it, decoded
  std::optional<wire::Coding> coding;                       // what it is still to be decoded from
  Buffer translated;                                        // the same as its place needs it; empty: as it came
  std::array<char, identity::ScopeKey::kDigits> cache_key;  // what prompt_cache_key leaves as
  std::size_t body_held_bytes = 0;                          // of what the whole process may hold
  dialect::EditedBody edited;
  ReplyHeaders headers;
  std::string path;  // where it is not the dialect's own
  http::OutgoingRequest outgoing;
};

// The members that we add to a call for the place that it goes to, and which of them this place has refused of this call.
struct AddedMembers {
  bool usage = false;    // the wish to be told the usage of a stream
  std::string_view cap;  // the name of the output cap that was put in; empty: none was
  bool usage_refused = false;
  bool cap_refused = false;
  bool endpoint_refused = false;  // the call's own: it was translated for this place
};

// How a call that is translated reads at its place.
struct TranslatedCall {
  const dialect::Detour& detour;
  dialect::CallBody asked;
  Buffer settings;  // that the answer repeats
};

// What the place that has the call is spoken to in.
struct Spoken {
  const dialect::Dialect& dialect;
  const dialect::Endpoint& endpoint;
  const dialect::CallBody& asked;
};

// What the client has been given so far.
enum class Begun : std::uint8_t { kNothing, kStream, kBody };

// Whether the same place is worth asking again.
enum class Again : std::uint8_t { kYes, kNo };

// How soon a client should retry: what the upstream's retry-after-ms or Retry-After says (seconds, with a fraction or
// not, or a date), else soon for 429 and 503; 0: say nothing. `status`: the one that the client gets.
[[nodiscard]] std::chrono::milliseconds retry_after_of(const http::AnswerHead& head, unsigned status,
                                                       WallTime now) noexcept;

// Thread:   owning worker only.
// Lifetime: of one request; worker and client outlive it.
// Cancel:   the client leaves, the key is revoked or a drain ends: the phase under way returns, finish() runs.
class Exchange final {
 public:
  Exchange(Worker& worker, http::Incoming& client, const Arrival& arrival);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Answers the request. Whatever ends it, finish() has run exactly once when this returns.
  Task<void> run();

 private:
  // The phases, in order. An Error ends the exchange; run() gives it to the client.
  Task<Status> phases();
  Status arrive();
  Status match();
  void find_speaker() noexcept;
  Status identify();
  Result<const identity::Key*> find_key();
  void read_client_id();
  // Labels, in labels.cc.
  Status read_labels();
  Status read_label_pairs(std::string_view pairs);
  Status read_body_labels();
  void add_label(std::string_view name, std::string_view value);
  void read_trace();
  Task<Status> read_body();
  Result<std::optional<wire::Coding>> find_coding() const noexcept;
  Task<Status> decode_body();  // with decode_all(), in compressed_body.cc
  Task<Status> decode_all(wire::BodyDecoder& decoder, Buffer& plain);
  Status understand();
  Task<Status> understand_large();
  Task<Status> work_beside(LargeBodies::Job& job);
  Status take_model_of_path();
  Status take_in(Result<dialect::CallBody> asked);
  [[nodiscard]] bool is_large() const noexcept;
  [[nodiscard]] bool may_name_prompt() const noexcept;
  bool find_model();
  void use_model(const NameMap<ModelSettings>::value_type& model);
  [[nodiscard]] const NameMap<ModelSettings>::value_type* known_model(std::string_view name) const noexcept;
  // The bounds of the call at the place of the lease: the model's own before the place's.
  [[nodiscard]] upstream::CallTimes times() const noexcept;
  // Of the call, once it was matched; before that the one that strangers are answered in.
  [[nodiscard]] const dialect::Dialect& dialect() const noexcept { return *match_.dialect; }
  // REQUIRES: match().
  [[nodiscard]] const dialect::Endpoint& endpoint() const noexcept { return *match_.endpoint; }
  [[nodiscard]] std::string_view content_type() const noexcept { return head_.fields[http::Field::content_type]; }
  // For this call's tenant. REQUIRES: identify().
  [[nodiscard]] upstream::Wanted wanted(std::string_view model) const noexcept {
    const dialect::Detour* const detour = worker_.dialects.detour(match_.number);
    const bool translatable = detour != nullptr && translation_.has_value();
    return {.model = model,
            .tenant_id = call_.caller.tenant_id,
            .endpoint = match_.number,
            .instead = translatable ? detour->number : upstream::Wanted::kNone,
            .place = keeper_,
            .tenant = call_.caller.tenant};
  }
  Status admit();
  Task<Status> send();
  Task<Status> relay();
  void finish() noexcept;
  void write_access_line() const noexcept;  // in access_line.cc

  // Parts of find_model() and send(), in router.cc.
  Task<Status> await_model();
  Task<Status> ask();
  void prepare(upstream::Place& place);
  void drop_request() noexcept;
  Task<Status> await_head();

  // What comes behind an attempt that failed, in attempts.cc.
  using Tried = std::vector<const upstream::Place*>;
  Result<Again> go_elsewhere(const Status& head, std::size_t attempt, Tried& tried, upstream::Lease& next);
  void log_attempt(const Status& head) const noexcept;
  void record_attempt(EndReason reason, std::uint16_t status, const Usage& used);
  Status admit_anew();
  Result<Again> use_fallback(EndReason reason, std::uint16_t status, const Usage& used,
                             std::span<const upstream::Place* const> tried, upstream::Lease& next);
  Status prefer_fallback(std::span<const upstream::Place* const> tried, upstream::Lease& next);

  // What an attempt says of its place, in judge.cc.
  void judge(std::optional<upstream::Fault> fault) noexcept;
  void judge_failed(const Error& error) noexcept;
  void judge_head() noexcept;
  void judge_end() noexcept;

  // A slot, and the wait for one, in acquire.cc.
  Task<Result<upstream::Lease>> acquire(std::span<const upstream::Place* const> tried, Patience patience);
  Task<Result<upstream::Lease>> wait_for_slot(std::span<const upstream::Place* const> tried, Patience patience,
                                              upstream::Supply supply);
  [[nodiscard]] upstream::QueueTerms queue_terms(const Patience& patience) const noexcept;
  Task<Status> tell_position(upstream::Queued& queued);
  Error refused_by_queue(const upstream::Queued& queued, const Patience& patience);
  void settle_turn(std::uint64_t tokens) noexcept;

  // A call whose place has not its endpoint but another, in translated.cc.
  [[nodiscard]] bool is_translated() const noexcept { return translated_ && lease_.endpoint() != match_.number; }
  [[nodiscard]] Spoken spoken() const noexcept {
    if (!is_translated()) return {dialect(), endpoint(), asked_};
    return {*translated_->detour.dialect, *translated_->detour.endpoint, translated_->asked};
  }
  [[nodiscard]] std::string_view spoken_body() const noexcept {
    const bool changed = is_translated() || (asked_.upload && !request_->translated.empty());
    return changed ? request_->translated.view() : request_->body.view();
  }
  Task<Status> translate();
  void avoid_lacked_endpoint() noexcept;
  [[nodiscard]] bool can_fall_back() const noexcept;
  Task<Result<Again>> fall_back();
  [[nodiscard]] dialect::AnswerFacts answer_facts() const noexcept;
  [[nodiscard]] std::unique_ptr<dialect::EventFilter> make_filter() const;
  Task<Result<dialect::Converted>> translate_answer(Buffer& answer, dialect::WholeAnswer* walk);
  [[nodiscard]] bool is_counted_here() const noexcept;
  Task<Status> answer_count();

  // Members of our own that a place may not know, in added_members.cc.
  void choose_members(upstream::Place& place);
  Task<Result<Again>> take_back();
  Result<Again> take_back_cap();
  void remember_refused();
  [[nodiscard]] bool client_names(std::string_view member) const noexcept;

  // What model servers keep, in stored_calls.cc.
  [[nodiscard]] bool is_of_stored() const noexcept {
    return match_.endpoint != nullptr && endpoint().work == dialect::Work::kStored;
  }
  [[nodiscard]] bool names_stored() const noexcept { return keeper_.empty() && asked_.stored.any(); }
  Task<Status> find_stored();
  Task<Status> find_keeper();
  Task<Result<StoredResponses::Keeper>> look_up(StoredResponses::List* list = nullptr);
  [[nodiscard]] std::string_view path_at(const upstream::Place& place, std::string_view model);
  void note_kept(const dialect::KeptIds* ids);
  [[nodiscard]] store::ResponseRecord record_of(std::string_view id, Kept kept) const;

  // Files that they keep, and batches of the calls in them, in kept_files.cc.
  Status check_upload();
  Task<Status> find_place();
  Status choose_place();
  Task<Status> find_batch();
  void expect_batch() noexcept;
  [[nodiscard]] dialect::ClaimLimit claim_limit_of_batch() const noexcept;
  Task<Status> edit_upload();
  [[nodiscard]] store::FileFacts facts_of_file() const;
  void note_made(const dialect::KeptIds& ids);
  Task<Status> answer_list();

  // What its place goes on with by itself, in kept_on.cc.
  [[nodiscard]] Status may_run_on() const noexcept;
  [[nodiscard]] bool is_on_its_own() const noexcept;
  [[nodiscard]] store::KeptCall kept_call(std::string_view id) const;
  Task<Status> keep_on(const dialect::KeptIds* ids);
  Task<Status> keep_stream(const dialect::EventFilter& filter);
  void settle_kept();
  void leave_to_kept() noexcept;
  Task<Status> await_kept();

  // Parts of relay(), in relay.cc.
  Task<Result<dialect::AnswerKind>> await_kind();
  Task<Status> await_more(net::Deadline& ping, net::Deadline silence);
  Task<Status> relay_stream();
  Task<Status> pass_events(dialect::EventFilter& filter);
  dialect::StreamState filter_arrived(dialect::EventFilter& filter);
  Task<void> let_upstream_end();
  Task<Status> relay_error();
  void begin_stream();
  void add_answer_headers(ReplyHeaders& headers) const noexcept;
  [[nodiscard]] dialect::FilterOptions filter_options() const noexcept;
  void note_first_byte() noexcept;

  // In relay_whole.cc and relay_converted.cc.
  Task<Status> relay_whole();
  Task<Status> gather(std::size_t limit_bytes, net::Deadline ping = net::Deadline::never());
  Task<Status> pass_through(ReplyHeaders& headers);
  void complete();
  Task<Status> answer_said_error();
  Task<Status> answer_nothing(const char* why);
  Task<Status> relay_whole_as_stream();
  Task<Status> relay_stream_as_whole();
  Task<Status> assemble(dialect::EventFilter& filter, dialect::Assembly& into);

  // In relay_plain.cc.
  Task<Status> relay_plain(dialect::AnswerKind kind);
  Task<Status> relay_object_for_plain();

  // What was used, in believe.cc.
  void count_meters() noexcept;
  void note_upstream_cost() noexcept;
  [[nodiscard]] dialect::ClaimLimit claim_limit() const noexcept;
  [[nodiscard]] std::string_view called(const upstream::Place& place) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> clamp() const noexcept;
  void take_usage(dialect::UsageReading told) noexcept;
  void take_usage(const dialect::EventFilter& filter) noexcept;
  void add_prompt_untold() noexcept;
  void tell_doubt(const dialect::UsageReading& told) const noexcept;
  [[nodiscard]] Usage own_count() const noexcept;
  void take_walked_usage() noexcept;
  void take_said_usage() noexcept;
  void walk_arrived();

  // After the client has left, in read_on.cc.
  Task<void> read_on();
  Task<void> count_rest(net::Deadline until);
  Task<void> gather_rest(net::Deadline until);
  Task<bool> more_of_upstream(net::Deadline until);

  // Parts of the answer to a failed exchange, in refuse.cc.
  Task<void> refuse(Error error);
  void tell_operator(const dialect::ErrorAnswer& answer, unsigned status) noexcept;
  void append_error_event(const dialect::ErrorAnswer& answer);
  Task<void> answer_error(dialect::ErrorAnswer& answer, std::chrono::milliseconds retry_after);

  // Answers that need no upstream, in models.cc.
  Task<Status> answer_models();
  [[nodiscard]] dialect::ListedModel listed(std::string_view model) const noexcept;
  [[nodiscard]] static bool is_probe(std::string_view path) noexcept;
  Task<void> answer_probe();
  Task<void> answer_options();
  void add_preflight_headers(ReplyHeaders& headers) const noexcept;

  // Sleeps until something happened or `deadline`. Errors: kClosed (client gone), kInvalidKey (revoked), kUnavailable
  // (drained).
  Task<Result<net::Wake>> next(net::Deadline deadline);
  [[nodiscard]] Status interrupted() const noexcept;

  Worker& worker_;
  http::Incoming& client_;
  const http::RequestHead& head_;
  const Cors& cors_;
  const policy::Peer peer_;
  std::shared_ptr<const Conf> conf_;
  net::Signal wake_;
  RunningCall running_;
  std::list<RunningCall*>::iterator running_position_;

  dialect::Match match_;
  const identity::Key* key_ = nullptr;
  std::unique_ptr<UpstreamRequest> request_;  // from read_body() until it has been sent and cannot be sent again
  dialect::CallBody asked_;
  const ModelSettings* model_ = nullptr;
  std::string keeper_;                              // the place that keeps what the call names; empty: it names nothing
  std::unique_ptr<store::FileFacts> file_;          // of Work::kBatch: that it is made of; else null
  std::size_t kept_ = 0;                            // ids of the answer that the gateway has noted
  std::unique_ptr<const store::KeptCall> kept_on_;  // its place goes on with it, and it is charged later
  std::unique_ptr<TranslatedCall> translated_;      // null: it has not been
  Status translation_ = ok();                       // why it cannot be

  policy::Call call_;
  policy::Outcome outcome_;
  policy::Decision decision_;
  std::size_t admitted_ = 0;

  AddedMembers added_;
  std::shared_ptr<upstream::Turn> turn_;  // of a call that had to wait for its slot, until it is settled; else null
  std::chrono::microseconds queued_{0};   // spent waiting
  net::Deadline ping_ = net::Deadline::never();  // of a stream before its head: when the client is to hear something
  upstream::Lease lease_;
  std::unique_ptr<http::OutgoingCall> upstream_;
  std::unique_ptr<dialect::EventFilter> filter_;  // of a streamed answer
  std::unique_ptr<dialect::WholeAnswer> walk_;    // of a whole one
  std::size_t walked_bytes_ = 0;                  // of what stands in the upstream's body
  Holding holding_;                               // of what is on its way to the client

  std::array<char, 40> request_id_{};
  std::string client_request_id_;
  std::vector<std::pair<std::string, std::string>> labels_;
  std::optional<observe::TraceContext> trace_;  // the client's, if it has one
  std::string trace_state_;
  std::string model_hash_;
  std::string model_served_;
  std::string place_name_;
  Begun begun_ = Begun::kNothing;
  std::vector<std::string> fallbacks_;  // models that are left to serve in the place of the one that was asked for
  bool fell_back_ = false;
  MonoTime attempt_began_{};
  net::Deadline first_token_until_ = net::Deadline::never();  // of the attempt
  net::Deadline total_until_ = net::Deadline::never();
  bool judged_ = false;  // the attempt
  bool finished_ = false;
};

}  // namespace sluice::proxy
