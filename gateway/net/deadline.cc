#include "net/deadline.h"

#include <algorithm>

namespace sluice::net {
namespace {

std::int64_t tick_of(MonoTime time) noexcept { return time.time_since_epoch() / DeadlineWheel::kTick; }

}  // namespace

void Alarm::arm(Deadline deadline) noexcept {
  if (deadline.at == MonoTime::max()) return disarm();
  const bool later = next_ != nullptr && deadline.at >= at_;
  at_ = deadline.at;
  if (later) return;  // its present slot comes round first and moves it on
  if (next_ != nullptr) wheel_.unlink(*this);
  wheel_.link(*this);
}

void Alarm::disarm() noexcept {
  at_ = MonoTime::max();
  if (next_ != nullptr) wheel_.unlink(*this);
}

void DeadlineWheel::link(Alarm& alarm) noexcept {
  start_ticking();
  // Not before the next tick, and not more than one turn ahead: a farther one is linked again when its slot comes
  // round.
  const std::int64_t tick = std::clamp(tick_of(alarm.at_) + 1, current_tick_ + 1, current_tick_ + std::int64_t{kSlots});
  alarm.slot_ = static_cast<std::size_t>(tick) % kSlots;
  Alarm*& head = slots_[alarm.slot_];
  if (head == nullptr) {
    head = alarm.next_ = alarm.previous_ = &alarm;
  } else {
    alarm.next_ = head;
    alarm.previous_ = head->previous_;
    head->previous_->next_ = &alarm;
    head->previous_ = &alarm;
  }
  ++linked_;
}

void DeadlineWheel::unlink(Alarm& alarm) noexcept {
  Alarm*& head = slots_[alarm.slot_];
  if (running_next_ == &alarm) running_next_ = alarm.next_ == &alarm ? nullptr : alarm.next_;
  if (alarm.next_ == &alarm) {
    head = nullptr;
  } else {
    if (head == &alarm) head = alarm.next_;
    alarm.previous_->next_ = alarm.next_;
    alarm.next_->previous_ = alarm.previous_;
  }
  alarm.next_ = alarm.previous_ = nullptr;
  --linked_;
}

void DeadlineWheel::start_ticking() noexcept {
  if (ticking_) return;
  ticking_ = true;
  current_tick_ = tick_of(Mono::now());
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) tick();
  });
}

void DeadlineWheel::tick() noexcept {
  const MonoTime now = Mono::now();
  const std::int64_t target = tick_of(now);
  // After a stall longer than one turn every slot is due once.
  if (target - current_tick_ > std::int64_t{kSlots}) current_tick_ = target - std::int64_t{kSlots};
  while (current_tick_ < target) {
    ++current_tick_;
    run_slot(static_cast<std::size_t>(current_tick_) % kSlots, now);
  }
  ticking_ = linked_ != 0;
  if (!ticking_) return;
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) tick();
  });
}

void DeadlineWheel::run_slot(std::size_t slot, MonoTime now) noexcept {
  // Detach the slot's ring into a local walk: expired() may arm, disarm or destroy any alarm, this one included. What
  // is linked anew into this very slot is one turn ahead and stays behind `last`.
  Alarm* const first = slots_[slot];
  if (first == nullptr) return;
  std::size_t count = 0;
  for (Alarm* a = first;; a = a->next_) {
    ++count;
    if (a->next_ == first) break;
  }
  Alarm* alarm = first;
  while (alarm != nullptr && count-- != 0) {
    running_next_ = alarm->next_ == alarm ? nullptr : alarm->next_;
    Alarm& current = *alarm;
    unlink(current);
    if (current.at_ <= now) {
      current.at_ = MonoTime::max();
      current.expired();
    } else {
      link(current);
    }
    alarm = running_next_;
  }
  running_next_ = nullptr;
}

}  // namespace sluice::net
