#include "proxy/forward.h"

#include <array>

#include "base/text.h"
#include "config/header_names.h"
#include "http/field_text.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kNameBytes = 64;  // a longer name is nobody's

constexpr std::uint32_t letter(char c) noexcept { return 1U << (static_cast<unsigned char>(c) & 31U); }

std::string_view lowered(std::string_view name, std::span<char, kNameBytes> into) noexcept {
  for (std::size_t i = 0; i < name.size(); ++i) into[i] = lower_case(name[i]);
  return {into.data(), name.size()};
}

// What the client says belongs to its connection (RFC 9110, 7.6.1).
bool belongs_to_connection(const http::Fields& fields, std::string_view lower) noexcept {
  for (const http::Fields::Line& field : fields) {
    if (field.id == http::Field::connection && http::list_has(field.value, lower)) return true;
  }
  return false;
}

}  // namespace

ForwardRules::ForwardRules(const std::vector<std::string>& passed, const std::vector<std::string>& scoped) {
  add(scoped, Way::kScope);  // first: what is in both lists never leaves as it is
  add(passed, Way::kPass);
}

void ForwardRules::add(const std::vector<std::string>& names, Way way) {
  for (const std::string& name : names) {
    const bool prefix = name.ends_with('*');
    patterns_.push_back({.text = name.substr(0, name.size() - (prefix ? 1 : 0)), .prefix = prefix, .way = way});
    letters_ |= letter(name.front());
  }
}

ForwardRules::Way ForwardRules::way_of(std::string_view name) const noexcept {
  if (name.empty() || name.size() > kNameBytes || (letters_ & letter(name.front())) == 0) return Way::kDrop;
  for (const Pattern& pattern : patterns_) {
    if (pattern.prefix ? name.size() < pattern.text.size() : name.size() != pattern.text.size()) continue;
    if (!same_ignoring_case(name.substr(0, pattern.text.size()), pattern.text)) continue;
    std::array<char, kNameBytes> into;
    const std::string_view lower = lowered(name, into);
    if (config::is_never_forwarded(lower)) return Way::kDrop;
    // By no pattern as it is: the upstream would answer one tenant with what it told another.
    return lower == "idempotency-key" ? Way::kScope : pattern.way;
  }
  return Way::kDrop;
}

Forwarded forward_headers(const ForwardRules& rules, const http::Fields& fields, const policy::Caller& caller,
                          const identity::ScopeKey& scope, ReplyHeaders& into) noexcept {
  std::size_t forwarded = 0;
  for (const http::Fields::Line& field : fields) {
    const ForwardRules::Way way = rules.way_of(field.name);
    if (way == ForwardRules::Way::kDrop || field.value.empty()) continue;
    std::array<char, kNameBytes> lower;
    const std::string_view name = lowered(field.name, lower);
    if (belongs_to_connection(fields, name)) continue;
    if (forwarded == kMostForwarded) return Forwarded::kSome;
    ++forwarded;
    if (way == ForwardRules::Way::kPass) {
      into.add_named(name, field.value);
      continue;
    }
    std::array<char, identity::ScopeKey::kDigits> digits;
    into.add_named_copy(name, scope.scoped(caller.tenant_id, caller.user_id, field.value, digits));
  }
  return Forwarded::kAll;
}

}  // namespace sluice::proxy
