#include "demo/event_text.h"

namespace sluice::demo {

EventText::EventText(const Faults& faults) noexcept
    : faults_(faults),
      plain_(!faults.has(Fault::kPings) && !faults.has(Fault::kIds) && !faults.has(Fault::kBom) &&
             !faults.has(Fault::kCrlf) && !faults.has(Fault::kCr)) {
  if (faults.has(Fault::kCrlf)) line_end_ = "\r\n";
  if (faults.has(Fault::kCr)) line_end_ = "\r";
}

void EventText::event(std::string_view name, std::initializer_list<std::string_view> data) {
  if (!plain_) {
    if (events_ == 0 && faults_.has(Fault::kBom)) pending_ += "\xEF\xBB\xBF";
    if (faults_.has(Fault::kPings)) pending_.append(":").append(line_end_).append(line_end_);
    if (faults_.has(Fault::kIds))
      pending_.append("retry: 3000")
          .append(line_end_)
          .append(line_end_)
          .append("id: ")
          .append(std::to_string(events_))
          .append(line_end_);
  }
  ++events_;
  if (!name.empty()) pending_.append("event: ").append(name).append(line_end_);
  pending_ += "data: ";
  for (const std::string_view part : data) pending_ += part;
  pending_.append(line_end_).append(line_end_);
}

void EventText::finish() {
  if (!faults_.has(Fault::kGzip)) return;
  (void)bytes();
  gzip_.finish(compressed_);
}

std::string_view EventText::bytes() {
  if (!faults_.has(Fault::kGzip)) return pending_;
  if (!pending_.empty()) gzip_.add(compressed_, pending_);
  pending_.clear();
  return compressed_;
}

void EventText::clear() noexcept {
  pending_.clear();
  compressed_.clear();
}

}  // namespace sluice::demo
