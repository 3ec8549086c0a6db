#include "upstream/refused_members.h"

namespace sluice::upstream {
namespace {

// No name holds a line's end.
std::string key_of(std::string_view place, std::string_view model) {
  std::string key(place);
  key += '\n';
  key += model;
  return key;
}

}  // namespace

RefusedMembers::Known RefusedMembers::find(std::string_view place, std::string_view model, MonoTime now) const {
  if (entries_.empty()) return {};  // nearly always
  const auto found = entries_.find(key_of(place, model));
  return found == entries_.end() || now >= found->second.until ? Known{} : found->second.known;
}

void RefusedMembers::learn(std::string_view place, std::string_view model, Known known, MonoTime now, MonoTime until) {
  std::string key = key_of(place, model);
  if (entries_.size() >= kMost && !entries_.contains(key)) {
    std::erase_if(entries_, [now](const auto& entry) { return now >= entry.second.until; });
    if (entries_.size() >= kMost) entries_.erase(entries_.begin());
  }
  Entry& entry = entries_[std::move(key)];
  if (now >= entry.until) entry.known = {};
  entry.known.usage_refused |= known.usage_refused;
  if (known.cap != CapMember::kAuto) entry.known.cap = known.cap;
  entry.known.lacks |= known.lacks;
  entry.until = until;
}

}  // namespace sluice::upstream
