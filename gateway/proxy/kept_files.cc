// Files that model servers keep for users, and batches of the calls that stand in them. A file is at one place, and what is
// done with it, a batch too, goes there. The lines of a batch are read when the file comes: each as a single call would be,
// so that what they ask for together is known before a batch is made of it.
#include <algorithm>
#include <charconv>

#include "proxy/exchange.h"
#include "proxy/relay_errors.h"
#include "wire/json_text.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view kModelHeader = "x-sluice-model";
constexpr std::size_t kMostListed = 10'000;  // the API's bound for limit, and its default

constexpr Error kNowhere = client_error(
    ErrorKind::kNotFound,
    "No model server of this gateway keeps files; send their content in the request, or ask your administrator "
    "([[upstream]] files).");
constexpr Error kAnywhere = client_error(
    ErrorKind::kBadRequest,
    "Several model servers of this gateway keep files: name a model that the file is for in the header x-sluice-model, "
    "and the file goes to where that model is.");
constexpr Error kNoBatchFile =
    client_error(ErrorKind::kBadRequest, "The file has no calls of a batch; upload it with the purpose 'batch'.");
constexpr Error kOtherEndpoint = client_error(
    ErrorKind::kBadRequest, "'endpoint' must be what the lines of the file have as 'url'; it is another one.");
constexpr Error kNoInputFile = client_error(
    ErrorKind::kBadRequest, "The request body has no 'input_file_id'; upload a file with the purpose 'batch'.");
constexpr Error kOddList =
    client_error(ErrorKind::kBadRequest, "Of a list's query this path has limit, 1 to 10000, and after, an id.");

// A file's lines, to be edited beside the worker.
struct EditUpload final : LargeBodies::Job {
  EditUpload(net::Signal& wake, const dialect::Dialect& dialect_, const dialect::CallBody& call_,
             std::string_view body_, const dialect::LineEdits& edits_, Buffer& out_) noexcept
      : Job(wake), dialect(dialect_), call(call_), body(body_), edits(edits_), out(out_) {}
  void work(wire::Parser&) noexcept override { result = dialect.append_edited_upload(out, call, body, edits); }

  const dialect::Dialect& dialect;
  const dialect::CallBody& call;
  std::string_view body;
  const dialect::LineEdits& edits;
  Buffer& out;
  Status result = ok();
};

// limit=…&after=… and no more. Nothing: it is something else.
std::optional<StoredResponses::List> list_of(std::string_view query, Kept kept) {
  StoredResponses::List list{.kept = kept, .after = {}, .limit = kMostListed};
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals), value = pair.substr(std::min(equals + 1, pair.size()));
    const char* const behind = value.data() + value.size();
    if (name == "after" && dialect::is_stored_id(value)) {
      list.after = value;
    } else if (name == "limit") {
      const auto [at, error] = std::from_chars(value.data(), behind, list.limit);
      if (error != std::errc() || at != behind || list.limit == 0 || list.limit > kMostListed) return std::nullopt;
    } else if (pair != "order=desc") {
      return std::nullopt;
    }
  }
  return list;
}

}  // namespace

// A line that cannot be taken is told by its number; and where the lines name no model, a header may.
Status Exchange::check_upload() {
  const dialect::Upload& upload = *asked_.upload;
  if (upload.wrong_line != 0) {
    decision_.message = "Line " + std::to_string(upload.wrong_line) + " of the batch: " + upload.wrong.what;
    return upload.wrong;
  }
  if (asked_.model.empty()) asked_.model.assign(head_.fields[kModelHeader]);
  return ok();
}

// Where a call goes that names no model itself: one of what is kept. A file may be for none.
Task<Status> Exchange::find_place() {
  if (endpoint().work == dialect::Work::kBatch) SLUICE_CO_TRY(co_await find_batch());
  if (endpoint().work == dialect::Work::kUpload) SLUICE_CO_TRY(choose_place());
  call_.model_index = policy::Call::kNoModel;
  co_return ok();
}

Status Exchange::choose_place() {
  const std::vector<std::string_view> places = worker_.pool.takers(wanted({}));
  if (places.empty()) return kNowhere;
  if (places.size() > 1) return kAnywhere;
  keeper_ = places.front();
  return ok();
}

// What the batch is of says where it is made, of which model, and what it may use.
Task<Status> Exchange::find_batch() {
  if (asked_.stored.answer.empty() && !asked_.stored.names_no_id) co_return kNoInputFile;
  Result<StoredResponses::Keeper> keeper = co_await look_up();
  if (!keeper) co_return keeper.error();
  const auto rows = worker_.dialects.endpoints();
  const auto row = std::ranges::find(rows, keeper->file.endpoint, &dialect::Endpoint::name);
  if (keeper->file.endpoint.empty() || row == rows.end()) co_return kNoBatchFile;
  if (row->path != std::string_view(asked_.batch_path)) co_return kOtherEndpoint;
  keeper_ = std::move(keeper->place);
  asked_.model.assign(std::string_view(keeper->model));
  file_ = std::make_unique<store::FileFacts>(std::move(keeper->file));
  file_->purpose = asked_.stored.answer;
  co_return ok();
}

// What budgets are asked for. Of a file that comes: what its lines may use, so that their caps, or the want of them, are
// told as those of one call would be. Of a batch: the same, whole or not at all, for nothing of it can be cut.
void Exchange::expect_batch() noexcept {
  if (asked_.upload && asked_.upload->lines != 0) {
    const dialect::Upload& upload = *asked_.upload;
    call_.prompt_estimate = upload.prompt_tokens + upload.output_tokens;
    call_.choices = std::max<std::uint64_t>(upload.uncapped_answers, 1);
    call_.output_cap = upload.uncapped_answers * model_->max_output;
    call_.output_cap_given = false;
  } else if (file_) {
    call_.prompt_estimate = file_->prompt_tokens;
    call_.choices = std::max<std::uint64_t>(file_->output_tokens, 1);
    call_.output_cap = file_->output_tokens;
    call_.output_cap_given = true;
    call_.price_class = PriceClass::kBatch;
  }
}

// What a batch is believed to have used: bytes bound no prompt, because images cost tokens without any, and no cap what had
// none.
dialect::ClaimLimit Exchange::claim_limit_of_batch() const noexcept {
  const std::uint64_t most = conf_->settings.max_claim;
  return {.prompt = std::max(most, 4 * file_->prompt_tokens), .completion = std::max(most, file_->output_tokens)};
}

// The form as the place of the lease is sent it: its lines name the model as that place does, and have the cap that the
// budgets ask for. Error: the call is over.
Task<Status> Exchange::edit_upload() {
  const dialect::Upload& upload = *asked_.upload;
  UpstreamRequest& request = *request_;
  const std::string_view model = called(*lease_);
  worker_.held.give(request.translated.size());
  request.body_held_bytes -= request.translated.size();
  request.translated.release();
  dialect::LineEdits edits{.cap_member = lease_->cap_member()};
  if (model != asked_.model) edits.model = model;
  if (upload.cap != 0 && upload.uncapped_answers != 0) edits.cap = upload.cap;
  if (upload.lines == 0 || (edits.model.empty() && !edits.cap)) co_return ok();
  EditUpload job(wake_, dialect(), asked_, request.body.view(), edits, request.translated);
  if (is_large()) {
    SLUICE_CO_TRY(co_await work_beside(job));
  } else {
    job.work(worker_.parser);
  }
  SLUICE_CO_TRY(job.result);
  if (!worker_.held.take(request.translated.size())) {
    request.translated.release();
    co_return kHoldsTooMuch;
  }
  request.body_held_bytes += request.translated.size();
  co_return ok();
}

store::FileFacts Exchange::facts_of_file() const {
  if (file_) return *file_;
  const dialect::Upload& upload = *asked_.upload;
  store::FileFacts facts{.purpose = upload.purpose, .bytes = upload.file_bytes, .endpoint = upload.endpoint};
  if (upload.lines == 0) return facts;
  facts.prompt_tokens = upload.prompt_tokens;
  const std::uint64_t each = upload.cap != 0 ? upload.cap : model_->max_output;
  facts.output_tokens = upload.output_tokens + upload.uncapped_answers * each;
  return facts;
}

// Files that a batch has made are those of its user.
void Exchange::note_made(const dialect::KeptIds& ids) {
  for (const std::string& id : ids.items()) {
    store::ResponseRecord file = record_of(id, Kept::kFile);
    file.file.purpose = "batch_output";
    worker_.responses->add_made(std::move(file));
  }
}

// What the gateway knows of the user's files. Their names it does not: those are the caller's words.
Task<Status> Exchange::answer_list() {
  std::optional<StoredResponses::List> list = list_of(head_.query, endpoint().kept);
  if (!list) co_return kOddList;
  call_.model_index = policy::Call::kNoModel;
  const std::size_t limit = list->limit++;  // one more says whether there are more
  Result<StoredResponses::Keeper> listed = co_await look_up(&*list);
  if (!listed) co_return listed.error();
  SLUICE_CO_TRY(admit());
  const auto end = list->found.size() > limit ? dialect::ListEnd::kMore : dialect::ListEnd::kAll;
  if (end == dialect::ListEnd::kMore) list->found.pop_back();
  std::vector<dialect::ListedFile> files;
  files.reserve(list->found.size());
  for (const store::ResponseRecord& file : list->found) {
    files.push_back({.id = file.id,
                     .purpose = file.file.purpose,
                     .bytes = file.file.bytes,
                     .created = std::chrono::system_clock::to_time_t(file.created)});
  }
  std::string body;
  dialect().append_files(body, files, end);
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  outcome_.reason = EndReason::kCompleted;
  outcome_.status = 200;
  outcome_.bytes_out += body.size();
  finish();
  (void)co_await client_.respond(200, headers.span(), body);
  co_return ok();
}

}  // namespace sluice::proxy
