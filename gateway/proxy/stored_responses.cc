#include "proxy/stored_responses.h"

#include <algorithm>
#include <utility>

#include "base/background.h"

namespace sluice::proxy {
namespace {

using store::ResponseChange;
using store::ResponseRecord;

constexpr std::size_t kMostChanges = 16'384;  // that wait for the store
constexpr std::size_t kRowsAtOnce = 512;      // written in one transaction
constexpr std::size_t kPrunedAtOnce = 1'000;
constexpr std::size_t kErasedAtOnce = 16;
constexpr std::chrono::seconds kSweepInterval{60};
constexpr std::chrono::seconds kPruneInterval{1};   // while more has expired than is pruned at once
constexpr std::chrono::seconds kEraseInterval{10};  // while a place that is to erase something could not be asked
constexpr std::chrono::hours kForGood{100 * 365 * 24};
constexpr std::chrono::seconds kQuietTime{2};  // so long the store may be busy before the log says so

constexpr Error kNobodys = {
    ErrorKind::kResponseNotFound,
    Origin::kClient,
    Retry::kNo,
    0,
    0,
    "No response, and no item of one, with this id is kept for the user of this API key: it was never made, was not to "
    "be stored, has expired or was deleted, or it is somebody else's. Send the whole conversation instead."};
constexpr Error kNoFile = {
    ErrorKind::kFileNotFound,
    Origin::kClient,
    Retry::kNo,
    0,
    0,
    "No file and no batch with this id is kept for the user of this API key: it was never made, was deleted, or it is "
    "somebody else's."};
constexpr Error kSeveralPlaces = {
    ErrorKind::kBadRequest,
    Origin::kClient,
    Retry::kNo,
    0,
    0,
    "What the request names of earlier responses is kept by several model servers; send the items themselves, as "
    "clients do where their option 'store' is false."};
constexpr Error kStoreAway = {
    ErrorKind::kUnavailable,
    Origin::kSelf,
    Retry::kNo,
    0,
    0,
    "The gateway cannot look up now whose response this is: its store cannot be reached. Try again soon."};

}  // namespace

StoredResponses::StoredResponses(std::unique_ptr<store::Store> store, const Clock& clock, observe::Log& log,
                                 Options options)
    : store_(std::move(store)), clock_(clock), log_(log), options_(options), thread_([this] { work(); }) {}

StoredResponses::~StoredResponses() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StoredResponses::set_options(Options options) {
  const std::lock_guard lock(mutex_);
  options_ = options;
}

// --- of workers

WallTime StoredResponses::expiry(WallTime created) {
  const std::lock_guard lock(mutex_);
  return created + options_.keep;
}

void StoredResponses::add(ResponseRecord response) {
  const std::lock_guard lock(mutex_);
  if (!has_room()) return;
  response.expires = response.created + (response.kept == Kept::kResponse ? options_.keep : kForGood);
  responses_[response.id] = {.user_id = response.user_id,
                             .response = std::make_shared<const ResponseRecord>(response),
                             .sequence = sequence_ + 1};
  push({.kind = ResponseChange::Kind::kAdd, .response = std::move(response), .items = {}});
}

void StoredResponses::add_made(ResponseRecord file) {
  const std::lock_guard lock(mutex_);
  if (!has_room()) return;
  file.expires = file.created + kForGood;
  responses_.try_emplace(file.id, News{.user_id = file.user_id,
                                       .response = std::make_shared<const ResponseRecord>(file),
                                       .sequence = sequence_ + 1});
  push({.kind = ResponseChange::Kind::kAddMade, .response = std::move(file), .items = {}});
}

void StoredResponses::add_items(const ResponseRecord& response, std::vector<std::string> items) {
  const std::lock_guard lock(mutex_);
  if (items.empty() || !has_room()) return;
  const auto whole = std::make_shared<const ResponseRecord>(response);
  for (const std::string& item : items)
    items_[item] = {.user_id = response.user_id, .response = whole, .sequence = sequence_ + 1};
  push({.kind = ResponseChange::Kind::kAddItems, .response = response, .items = std::move(items)});
}

// Also where there is no room: what was deleted must not be found, and it takes as little as a call.
void StoredResponses::forget(std::uint64_t user_id, std::string_view id) {
  const std::lock_guard lock(mutex_);
  ResponseRecord response;
  response.id = id;
  response.user_id = user_id;
  responses_[response.id] = {.user_id = user_id, .response = nullptr, .sequence = sequence_ + 1};
  push({.kind = ResponseChange::Kind::kForget, .response = std::move(response), .items = {}});
}

bool StoredResponses::has_room() {
  if (changes_.size() + batch_size_ < kMostChanges) return true;
  if (left_out_++ == 0)
    log_.error("the store takes no responses and no more can wait: later calls will not find those that are made now",
               {{"waiting", kMostChanges}});
  return false;
}

void StoredResponses::push(ResponseChange change) {
  changes_.push_back({std::move(change), ++sequence_});
  if (changes_.size() == 1) changed_.notify_one();
}

void StoredResponses::ask(LookUp& look_up) {
  {
    const std::lock_guard lock(mutex_);
    look_ups_.push_back(&look_up);
  }
  changed_.notify_one();
}

bool StoredResponses::withdraw(LookUp& look_up) noexcept {
  const std::lock_guard lock(mutex_);
  return std::erase(look_ups_, &look_up) != 0;
}

// --- the thread

// An exception that left the thread would end the process.
void StoredResponses::work() noexcept {
  name_thread("responses");
  for (;;) {
    try {
      return work_off();
    } catch (const std::exception& thrown) {
      log_.error("fault while responses were stored", {{"what", thrown.what()}});
    }
  }
}

// Look-ups before anything else: somebody waits for them.
void StoredResponses::work_off() {
  std::unique_lock lock(mutex_);
  MonoTime next_write = clock_.mono() + options_.interval;
  for (;;) {
    const auto waits = [this] { return ends_ || sweep_soon_ || !look_ups_.empty(); };
    const MonoTime until = changes_.empty() && batch_.empty() ? next_sweep_ : std::min(next_write, next_sweep_);
    const MonoTime now = clock_.mono();
    if (!waits() && until > now) changed_.wait_for(lock, std::min<Mono::duration>(until - now, kSweepInterval));
    if (!look_ups_.empty()) {
      lock.unlock();
      answer_waiting(Lists::kNow);
      lock.lock();
      continue;
    }
    const bool ends = ends_;
    const bool sweeps = std::exchange(sweep_soon_, false) || clock_.mono() >= next_sweep_;
    const auto interval = options_.interval;
    lock.unlock();
    if (ends || clock_.mono() >= next_write) {
      write();
      next_write = clock_.mono() + interval;
    }
    if (ends) return;
    if (sweeps) sweep();
    lock.lock();
  }
}

void StoredResponses::answer_waiting(Lists lists) {
  for (;;) {
    std::unique_lock lock(mutex_);
    const auto next = std::ranges::find_if(
        look_ups_, [lists](const LookUp* waiting) { return lists == Lists::kNow || waiting->list == nullptr; });
    if (next == look_ups_.end()) return;
    LookUp& look_up = **next;
    look_ups_.erase(next);
    lock.unlock();
    answer(look_up);
  }
}

void StoredResponses::answer(LookUp& look_up) {
  Result<Keeper> found = kStoreAway;
  try {
    found = look_up.list == nullptr ? find(look_up) : list(look_up);
  } catch (const std::exception& thrown) {
    log_.error("fault while a response was looked up", {{"what", thrown.what()}});
  }
  look_up.result.emplace(std::move(found));
  look_up.wake.loop().post([&look_up] {
    look_up.over = true;
    look_up.wake.notify();
  });
}

// The store is asked for all items at once: a body may name many.
Result<StoredResponses::Keeper> StoredResponses::find(const LookUp& look_up) {
  const dialect::StoredRefs& refs = look_up.refs;
  if (refs.names_no_id) return refs.kept == Kept::kResponse ? kNobodys : kNoFile;
  std::optional<Keeper> keeper;
  const auto add = [&keeper](const Result<ResponseRecord>& response) -> Status {
    if (!response) return response.error();
    if (keeper && keeper->place != response->place) return kSeveralPlaces;
    if (!keeper) keeper = Keeper{.place = response->place, .model = response->model, .file = response->file};
    return ok();
  };
  if (!refs.answer.empty()) SLUICE_TRY(add(find_answer(look_up)));
  std::vector<std::string_view> in_store;
  for (const std::string& item : refs.items) {
    const auto news = find_new(look_up.user_id, item, Part::kItem);
    if (!news) in_store.push_back(item);
    if (news) SLUICE_TRY(add(*news));
  }
  if (!in_store.empty()) {
    (void)store_->connect();  // a store that is not connected says so to whoever asks it
    const auto found = store_->find_responses_of_items(look_up.user_id, in_store, clock_.wall());
    if (!found.ok()) return absl::IsNotFound(found.status()) ? kNobodys : kStoreAway;
    for (std::size_t i = 0; i < in_store.size(); ++i) {
      if (is_stale(look_up.user_id, std::string(in_store[i]), Part::kItem, (*found)[i])) return kNobodys;
      SLUICE_TRY(add((*found)[i]));
    }
  }
  if (!keeper) return kNobodys;
  return *std::move(keeper);
}

// Ids of all kinds are found in one way, and one of another kind is nobody's.
Result<ResponseRecord> StoredResponses::find_answer(const LookUp& look_up) {
  const std::uint64_t user_id = look_up.user_id;
  const std::string& id = look_up.refs.answer;
  const Error& nobodys = look_up.refs.kept == Kept::kResponse ? kNobodys : kNoFile;
  if (auto news = find_new(user_id, id, Part::kResponse)) {
    if (!*news || (*news)->kept != look_up.refs.kept) return nobodys;
    return *std::move(*news);
  }
  (void)store_->connect();
  auto found = store_->find_response(user_id, id, clock_.wall());
  if (!found.ok()) return absl::IsNotFound(found.status()) ? nobodys : kStoreAway;
  if (found->kept != look_up.refs.kept || is_stale(user_id, id, Part::kResponse, *found)) return nobodys;
  return *std::move(found);
}

// What is new is written first, so that the store knows all.
Result<StoredResponses::Keeper> StoredResponses::list(const LookUp& look_up) {
  List& list = *look_up.list;
  write();
  if (!batch_.empty()) return kStoreAway;
  (void)store_->connect();
  auto found = store_->list_kept(look_up.user_id, list.kept, list.after, list.limit, clock_.wall());
  if (!found.ok()) return absl::IsNotFound(found.status()) ? kNoFile : kStoreAway;
  list.found = *std::move(found);
  return Keeper{};
}

std::optional<Result<ResponseRecord>> StoredResponses::find_new(std::uint64_t user_id, const std::string& id,
                                                                Part part) {
  const std::lock_guard lock(mutex_);
  const NewsById& news = part == Part::kResponse ? responses_ : items_;
  const auto at = news.find(id);
  if (at == news.end() || at->second.user_id != user_id) return std::nullopt;
  if (at->second.response == nullptr) return Result<ResponseRecord>(kNobodys);
  const auto whole = responses_.find(at->second.response->id);  // an item of one that was forgotten since
  if (whole != responses_.end() && whole->second.user_id == user_id && whole->second.response == nullptr)
    return Result<ResponseRecord>(kNobodys);
  return Result<ResponseRecord>(*at->second.response);
}

// The store says it, and what is on its way there says otherwise: it was deleted, or its place has given the id to
// somebody else since.
bool StoredResponses::is_stale(std::uint64_t user_id, const std::string& id, Part part,
                               const ResponseRecord& response) {
  const std::lock_guard lock(mutex_);
  const auto taken = [&](const NewsById& news, const std::string& of) {
    const auto at = news.find(of);
    if (at == news.end()) return false;
    if (at->second.user_id == user_id) return at->second.response == nullptr;
    return at->second.response != nullptr && at->second.response->place == response.place;
  };
  return taken(responses_, response.id) || (part == Part::kItem && taken(items_, id));
}

void StoredResponses::write() {
  {
    const std::lock_guard lock(mutex_);
    for (Change& change : changes_) {
      batch_.push_back(std::move(change.change));
      sequences_.push_back(change.sequence);
    }
    changes_.clear();
    batch_size_ = batch_.size();
  }
  if (batch_.empty()) return;
  const absl::Status stored = store_batch();
  tell(stored);
  if (!stored.ok()) return;
  forget_news();
  batch_.clear();
  sequences_.clear();
}

absl::Status StoredResponses::store_batch() {
  if (absl::Status connected = store_->connect(); !connected.ok()) return connected;
  if (absl::Status free = store_->may_change(); !free.ok()) return free;
  // In slices, so that others who write have their turn. One that is written twice, behind a fault, changes nothing.
  for (std::span<const ResponseChange> rest(batch_); !rest.empty();) {
    std::size_t count = 0;
    for (std::size_t rows = 0; count != rest.size() && rows < kRowsAtOnce; ++count)
      rows += 1 + rest[count].items.size();
    if (absl::Status stored = store_->change_responses(rest.first(count)); !stored.ok()) return stored;
    rest = rest.subspan(count);
    answer_waiting(Lists::kLater);  // those ask for what is being written
  }
  std::vector<std::uint64_t> users;
  for (const ResponseChange& change : batch_) {
    if (change.kind == ResponseChange::Kind::kAdd) users.push_back(change.response.user_id);
  }
  std::ranges::sort(users);
  users.erase(std::ranges::unique(users).begin(), users.end());
  std::size_t most = 0;
  {
    const std::lock_guard lock(mutex_);
    most = options_.most_per_user;
  }
  for (const std::uint64_t user : users)
    (void)store_->trim_responses(user, most, clock_.wall());  // else after the next one
  return absl::OkStatus();
}

// Of what is in the store now, unless something else was said since.
void StoredResponses::forget_news() {
  const std::lock_guard lock(mutex_);
  const auto drop = [](NewsById& news, const std::string& id, std::uint64_t sequence) {
    const auto at = news.find(id);
    if (at != news.end() && at->second.sequence == sequence) news.erase(at);
  };
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    drop(responses_, batch_[i].response.id, sequences_[i]);
    for (const std::string& item : batch_[i].items) drop(items_, item, sequences_[i]);
  }
  batch_size_ = 0;
  if (const std::uint64_t left_out = std::exchange(left_out_, 0); left_out != 0)
    log_.warn("responses were made that later calls will not find", {{"responses", left_out}});
}

// --- what has had its time

// Forgets what has expired, and hands on what belonged to revoked users. A store that is busy is asked the next time.
void StoredResponses::sweep() {
  next_sweep_ = clock_.mono() + kSweepInterval;
  write();  // else what was erased would be handed on again
  if (!batch_.empty() || !store_->connect().ok() || !store_->may_change().ok()) return;
  const auto pruned = store_->prune_responses(clock_.wall(), kPrunedAtOnce);
  if (pruned.ok() && *pruned == kPrunedAtOnce) next_sweep_ = clock_.mono() + kPruneInterval;
  if (const auto marked = store_->mark_responses_of_revoked(clock_.wall()); marked.ok() && *marked != 0)
    log_.info("responses of revoked users will be erased where they are kept", {{"responses", *marked}});
  const auto waiting = store_->responses_to_erase(kErasedAtOnce);
  if (!waiting.ok() || waiting->empty()) return;
  next_sweep_ = std::min(next_sweep_, clock_.mono() + kEraseInterval);
  const std::lock_guard lock(mutex_);
  if (erasing_ != 0 || !eraser_) return;
  erasing_ = waiting->size();
  eraser_(*waiting);
}

void StoredResponses::set_eraser(Eraser eraser) {
  const std::lock_guard lock(mutex_);
  eraser_ = std::move(eraser);
}

// After a few that went well come the next; else the next sweep tries again.
void StoredResponses::erased(const ResponseRecord& response, Erased how) {
  const std::lock_guard lock(mutex_);
  const bool done = how == Erased::kDone;
  push({.kind = done ? ResponseChange::Kind::kForget : ResponseChange::Kind::kEraseLater,
        .response = response,
        .items = {}});
  if (--erasing_ == 0 && done) sweep_soon_ = true;
}

void StoredResponses::left_alone(std::size_t count) noexcept {
  const std::lock_guard lock(mutex_);
  erasing_ -= count;
}

void StoredResponses::sweep_soon() {
  {
    const std::lock_guard lock(mutex_);
    sweep_soon_ = true;
  }
  changed_.notify_one();
}

// Once, and once again when it is over. That others write to the store for a moment is nothing to tell.
void StoredResponses::tell(const absl::Status& status) {
  const MonoTime now = clock_.mono();
  if (status.ok()) {
    if (std::exchange(told_, false)) log_.info("the store takes responses again");
    fails_since_.reset();
    return;
  }
  if (!fails_since_) fails_since_ = now;
  if (told_ || now - *fails_since_ < kQuietTime) return;
  told_ = true;
  log_.error("the store takes no responses: calls find them in memory, and a restart forgets them",
             {{"why", std::string(status.message())}});
}

}  // namespace sluice::proxy
