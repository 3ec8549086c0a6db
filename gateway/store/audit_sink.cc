#include "store/audit_sink.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/background.h"

namespace sluice::store {

QueuedAuditSink::QueuedAuditSink(std::unique_ptr<Store> store, Options options, observe::Log* log)
    : options_(options),
      mask_(std::bit_ceil(options.capacity) - 1),
      log_(log),
      slots_(std::make_unique<Slot[]>(mask_ + 1)),
      store_(std::move(store)),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_fd_ < 0) std::abort();
  for (std::uint64_t i = 0; i <= mask_; ++i) slots_[i].turn.store(i, std::memory_order_relaxed);
  batch_.reserve(options_.batch);
  thread_ = std::thread([this] { run(); });
}

QueuedAuditSink::~QueuedAuditSink() {
  stop_.store(true, std::memory_order_release);
  wake();
  thread_.join();
  ::close(wake_fd_);
}

void QueuedAuditSink::record(journal::AuditRecord&& record) noexcept {
  std::uint64_t at = head_.load(std::memory_order_relaxed);
  for (;;) {
    Slot& slot = slots_[at & mask_];
    const std::uint64_t turn = slot.turn.load(std::memory_order_acquire);
    if (turn == at) {
      if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
      slot.record = record;
      slot.turn.store(at + 1, std::memory_order_release);
      break;
    }
    if (turn < at) {  // still filled from a round ago: no room
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    at = head_.load(std::memory_order_relaxed);
  }
  accepted_.fetch_add(1, std::memory_order_relaxed);
  // Only the record that makes the ring half full costs a system call; before, the thread's own clock will do.
  if (at - tail_.load(std::memory_order_relaxed) == mask_ / 2) wake();
}

void QueuedAuditSink::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_fd_, &one, sizeof one);  // full: it is awake already
}

void QueuedAuditSink::wait(std::chrono::milliseconds time) noexcept {
  pollfd entry{.fd = wake_fd_, .events = POLLIN, .revents = 0};
  if (::poll(&entry, 1, static_cast<int>(time.count())) <= 0) return;
  std::uint64_t count;
  [[maybe_unused]] const auto n = ::read(wake_fd_, &count, sizeof count);
}

void QueuedAuditSink::take_batch() {
  std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  while (batch_.size() < options_.batch) {
    Slot& slot = slots_[tail & mask_];
    if (slot.turn.load(std::memory_order_acquire) != tail + 1) break;
    batch_.push_back(slot.record);
    slot.turn.store(tail + mask_ + 1, std::memory_order_release);
    ++tail;
  }
  tail_.store(tail, std::memory_order_relaxed);
}

bool QueuedAuditSink::store_batch() noexcept {
  const absl::Status added = store_->add(batch_);
  if (!added.ok()) {
    const std::uint64_t before = failures_.fetch_add(1, std::memory_order_relaxed);
    if (log_ != nullptr && std::has_single_bit(before + 1))
      log_->error("audit records cannot be stored; will try again",
                  {{"why", std::string_view(added.message().data(), added.message().size())},
                   {"waiting", recorded() - stored()}});
    return false;
  }
  stored_.fetch_add(batch_.size(), std::memory_order_release);
  batch_.clear();
  return true;
}

QueuedAuditSink::Moved QueuedAuditSink::move_batch() noexcept {
  const std::lock_guard lock(deliver_mutex_);
  take_batch();
  const bool had = !batch_.empty();
  return {.some = had, .stored = !had || store_batch()};
}

void QueuedAuditSink::each_queued(const std::function<void(const journal::AuditRecord&)>& visit) const {
  for (const journal::AuditRecord& record : batch_) visit(record);
  for (std::uint64_t at = tail_.load(std::memory_order_relaxed);; ++at) {
    const Slot& slot = slots_[at & mask_];
    if (slot.turn.load(std::memory_order_acquire) != at + 1) return;
    visit(slot.record);
  }
}

void QueuedAuditSink::run() noexcept {
  name_thread("audit-store");
  std::chrono::milliseconds pause = options_.interval;
  auto last = MonoTime::max();  // when to give up, once told to stop
  for (;;) {
    const bool stopping = stop_.load(std::memory_order_acquire);
    if (stopping && last == MonoTime::max()) last = Mono::now() + options_.last_try;
    const auto [had, good] = move_batch();
    if (const std::uint64_t lost = dropped(); log_ != nullptr && lost != told_dropped_) {
      log_->error("audit records were lost: the store is too slow or down",
                  {{"lost", lost - std::exchange(told_dropped_, lost)}});
    }
    if (stopping && ((good && !had) || Mono::now() >= last)) break;
    if (good && had) continue;  // perhaps there is more
    pause = good ? options_.interval : std::min(pause * 2, options_.retry_cap);
    wait(stopping ? std::min(pause, std::chrono::milliseconds(50)) : pause);
  }
  if (const std::uint64_t left = recorded() - stored(); left != 0 && log_ != nullptr)
    log_->error("audit records were lost at the end: the store did not take them", {{"lost", left}});
}

QueuedAuditSink::Flushed QueuedAuditSink::flush(std::chrono::milliseconds limit) noexcept {
  const std::uint64_t target = head_.load(std::memory_order_acquire);  // positions are drained in order
  const MonoTime end = Mono::now() + limit;
  wake();
  while (stored_.load(std::memory_order_acquire) < target) {
    if (Mono::now() >= end) return Flushed::kNotInTime;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Flushed::kAll;
}

}  // namespace sluice::store
