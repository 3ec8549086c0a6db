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
constexpr std::size_t kMostValueBytes = 256;  // of one that is given, as in `_meta`
constexpr Error kWrongPairs =
    client_error(ErrorKind::kBadRequest,
                 "'x-sluice-labels' must be up to 16 labels of the form name=value, with commas between them.");
constexpr Error kLongPair =
    client_error(ErrorKind::kBadRequest, "'x-sluice-labels' is too long: a label's value has at most 256 bytes.");

}  // namespace

Status Exchange::read_labels() {
  for (const std::string& name : conf_->settings.label_headers) add_label(name, head_.fields[name]);
  for (const http::Fields::Line& field : head_.fields) {
    if (field.name.size() == kLabelsHeader.size() && same_ignoring_case(field.name, kLabelsHeader))
      SLUICE_TRY(read_label_pairs(field.value));
  }
  call_.labels = labels_;
  return ok();
}

// By the rules of the body's `_meta`. What stands between two commas may be empty.
Status Exchange::read_label_pairs(std::string_view pairs) {
  std::size_t labels = 0;
  while (!pairs.empty()) {
    const std::size_t comma = std::min(pairs.find(','), pairs.size());
    const std::string_view pair = trimmed(pairs.substr(0, comma));
    pairs.remove_prefix(std::min(comma + 1, pairs.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || ++labels > dialect::kMostLabels) return kWrongPairs;
    const std::string_view name = trimmed(pair.substr(0, equals)), value = trimmed(pair.substr(equals + 1));
    if (name.empty()) return kWrongPairs;
    if (value.size() > kMostValueBytes) return kLongPair;
    add_label(name, value);
  }
  return ok();
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
