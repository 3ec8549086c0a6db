// What a call is for, as its caller says: for the audit record, never for the model. Headers that the conf names come first,
// then `x-sluice-labels: team=red, ticket=4711`, then the body; of two labels with one name the first counts.
#include <algorithm>

#include "base/text.h"
#include "dialect/body_labels.h"
#include "proxy/exchange.h"
#include "wire/json_text.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kLabelBytes = 64;  // of a name and of a value
constexpr std::string_view kLabelsHeader = "x-sluice-labels";

}  // namespace

void Exchange::read_labels() {
  for (const std::string& name : conf_->settings.label_headers) add_label(name, head_.fields[name]);
  for (const http::Fields::Line& field : head_.fields) {
    if (field.name.size() == kLabelsHeader.size() && same_ignoring_case(field.name, kLabelsHeader))
      read_label_pairs(field.value);
  }
  call_.labels = labels_;
}

// What has no name or no value is nothing.
void Exchange::read_label_pairs(std::string_view pairs) {
  while (!pairs.empty()) {
    const std::size_t comma = std::min(pairs.find(','), pairs.size());
    const std::string_view pair = pairs.substr(0, comma);
    pairs.remove_prefix(std::min(comma + 1, pairs.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    add_label(trimmed(pair.substr(0, equals)), trimmed(pair.substr(std::min(equals + 1, pair.size()))));
  }
}

// A body's bytes are read after the headers, and a label costs nothing where there is none.
Status Exchange::read_body_labels() {
  const auto take = [this](std::string_view name, std::string_view value) { add_label(name, value); };
  const std::string_view body = request_->body.view();
  if (asked_.labels.meta.present()) SLUICE_TRY(dialect::take_meta(asked_, body, worker_.parser, take));
  for (const std::string& name : conf_->settings.label_members) {
    const dialect::Member& member = name == "user" ? asked_.labels.user : asked_.labels.metadata;
    dialect::read_label_member(member, name, body, worker_.parser, take);
  }
  call_.labels = labels_;
  return ok();
}

// Cut to a bounded length; a header may hold any byte, a record text.
void Exchange::add_label(std::string_view name, std::string_view value) {
  if (name.empty() || value.empty() || labels_.size() >= conf_->settings.most_labels) return;
  std::string text = wire::valid_utf8(name, kLabelBytes);
  const bool there = std::ranges::any_of(labels_, [&](const auto& label) { return label.first == text; });
  if (!there) labels_.emplace_back(std::move(text), wire::valid_utf8(value, kLabelBytes));
}

}  // namespace sluice::proxy
