// Calls of what model servers keep: the response that a path names, and those that a body goes on from. The gateway knows
// whose each is and where; the call goes there, or nowhere. What an answer is kept as is noted before its client sees it.
#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/stored_path.h"

namespace sluice::proxy {
namespace {

constexpr Error kOddQuery = client_error(
    ErrorKind::kBadRequest,
    "The query holds what none of this path has: send include, limit, order, after and before, 1,024 bytes at most.");
constexpr Error kNotStreamedAgain = client_error(
    ErrorKind::kBadRequest, "A stored response is not streamed again by this gateway; fetch it without 'stream'.");
constexpr Error kOtherModel = client_error(
    ErrorKind::kBadRequest,
    "The response that this call goes on from was made by another model, and the model server that keeps it does not "
    "serve this one; name the model that made it, or send the whole conversation.");
constexpr Error kNoMemory = self_error(ErrorKind::kUnavailable, "this gateway knows of nothing that is stored");
constexpr Error kSlowStore = self_error(
    ErrorKind::kUnavailable, "The gateway could not look up in time whose this is: its store is busy. Try again soon.");

// Whether the query asks for a stream.
bool asks_for_stream(std::string_view query) noexcept {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    if (pair.starts_with("stream=") && pair != "stream=false") return true;
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

}  // namespace

// The id is in the path, and what is to be known of the call with the response that it names.
Task<Status> Exchange::find_stored() {
  if (!dialect::is_plain_query(head_.query)) co_return kOddQuery;
  if (asks_for_stream(head_.query)) co_return kNotStreamedAgain;
  request_ = std::make_unique<UpstreamRequest>();
  asked_.stored.answer.assign(match_.rest);
  asked_.stored.kept = endpoint().kept;
  if (endpoint().answers_bytes) asked_.answer = dialect::AnswerForm::kAny;
  Result<StoredResponses::Keeper> keeper = co_await look_up();
  if (!keeper) co_return keeper.error();
  keeper_ = std::move(keeper->place);
  asked_.model.assign(std::string_view(keeper->model));
  if (endpoint().method == "DELETE") co_return co_await await_kept();
  co_return ok();
}

// What the body goes on from decides where it goes.
Task<Status> Exchange::find_keeper() {
  Result<StoredResponses::Keeper> keeper = co_await look_up();
  if (!keeper) co_return keeper.error();
  // Of its own model the gateway cannot tell whether the place comes back; no waiting brings it another one.
  if (keeper->model != call_.model && !worker_.pool.is_at(wanted(call_.model), keeper->place)) co_return kOtherModel;
  keeper_ = std::move(keeper->place);
  co_return ok();
}

Task<Result<StoredResponses::Keeper>> Exchange::look_up(StoredResponses::List* list) {
  if (worker_.responses == nullptr) co_return kNoMemory;
  StoredResponses::LookUp look_up{.wake = wake_, .user_id = call_.caller.user_id, .refs = asked_.stored, .list = list};
  net::Deadline until = net::Deadline::after(conf_->settings.look_up);
  client_.watch_client(&wake_);
  worker_.responses->ask(look_up);
  while (!look_up.over) {
    const Result<net::Wake> woken = co_await next(until);
    if (look_up.over || (woken && *woken == net::Wake::kNotified)) continue;
    if (worker_.responses->withdraw(look_up)) co_return woken ? kSlowStore : woken.error();
    until = net::Deadline::never();  // it is being looked up
  }
  if (const Status now = interrupted(); !now) co_return now.error();
  co_return *std::move(look_up.result);
}

// Where the call goes at this place.
std::string_view Exchange::path_at(const upstream::Place& place, std::string_view model) {
  if (!is_of_stored()) return place.path(spoken().endpoint, model, request_->path);
  const StoredPath of{.endpoint = endpoint(), .id = match_.rest, .query = head_.query};
  return stored_path(place, of, model, request_->path);
}

// What the answer has told so far of how it is kept; or what is kept no longer.
void Exchange::note_kept(const dialect::KeptIds* ids) {
  if (worker_.responses == nullptr) return;
  const policy::Caller& caller = call_.caller;
  if (is_of_stored()) {
    if (endpoint().method == "DELETE" && std::exchange(kept_, 1) == 0)
      worker_.responses->forget(caller.user_id, asked_.stored.answer);
    if (worker_.kept_calls != nullptr && walk_ && !walk_->runs_on())
      worker_.kept_calls->look_soon(caller.user_id, asked_.stored.answer);
    if (ids != nullptr) note_made(*ids);
    return;
  }
  if (!asked_.stored.keep || ids == nullptr || ids->answer().empty() || ids->count() == kept_) return;
  if (is_about_kept(endpoint())) {
    if (std::exchange(kept_, 1) != 0) return;
    store::ResponseRecord record = record_of(ids->answer(), endpoint().kept);
    record.file = facts_of_file();
    worker_.responses->add(std::move(record));
    return note_made(*ids);
  }
  const store::ResponseRecord response = record_of(ids->answer(), Kept::kResponse);
  if (kept_ == 0) worker_.responses->add(response);
  const std::size_t noted = kept_ == 0 ? 0 : kept_ - 1;
  worker_.responses->add_items(response,
                               {ids->items().begin() + static_cast<std::ptrdiff_t>(noted), ids->items().end()});
  kept_ = ids->count();
}

store::ResponseRecord Exchange::record_of(std::string_view id, Kept kept) const {
  const policy::Caller& caller = call_.caller;
  return {.id = std::string(id),
          .tenant_id = caller.tenant_id,
          .user_id = caller.user_id,
          .key_id = caller.key_id,
          .place = place_name_,
          .model = std::string(call_.model),
          .created = call_.began,
          .expires = worker_.responses == nullptr ? call_.began : worker_.responses->expiry(call_.began),
          .kept = kept};
}

}  // namespace sluice::proxy
