#include "admin/secrets.h"

#include <algorithm>

#include "config/text.h"

namespace sluice::admin {
namespace {

using config::cat;

constexpr std::size_t kMostValueBytes = 16 * 1024;

absl::Status check_value(const identity::SecretText& value) {
  if (value.empty()) return absl::InvalidArgumentError("the value is empty; give it on standard input");
  if (value.size() > kMostValueBytes) return absl::InvalidArgumentError("the value is longer than 16 KiB");
  if (!std::ranges::all_of(value, [](char c) { return c > ' ' && c <= '~'; }))
    return absl::InvalidArgumentError(
        "the value holds bytes that no header can carry; it is one line of visible characters");
  return absl::OkStatus();
}

absl::StatusOr<std::optional<identity::MasterKey>> key_of(std::string_view text) {
  if (text.empty()) return std::optional<identity::MasterKey>();
  auto key = identity::MasterKey::derive(text);
  if (!key.ok()) return key.status();
  return std::optional<identity::MasterKey>(*std::move(key));
}

}  // namespace

absl::Status Secrets::set_master_keys(std::string_view master, std::string_view before) {
  auto now = key_of(master);
  auto old = key_of(before);
  if (!now.ok()) return now.status();
  if (!old.ok()) return old.status();
  master_ = *std::move(now);
  before_ = *std::move(old);
  return absl::OkStatus();
}

absl::Status Secrets::check_master_key() const {
  if (master_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "there is no master key: name one in the conf, as [secrets] master_key = \"file:PATH\" or \"env:NAME\", and "
      "reload");
}

std::optional<identity::SecretText> Secrets::open(const store::SecretRecord& record) const {
  for (const auto* const key : {&master_, &before_}) {
    if (!*key) continue;
    if (auto text = (*key)->open(record.name, record.version, record.sealed)) return text;
  }
  return std::nullopt;
}

absl::Status Secrets::set(const std::string& name, const identity::SecretText& value) {
  if (!config::is_secret_name(name))
    return absl::InvalidArgumentError("a secret's name is 1 to 64 letters, digits, '.', '_' and '-'");
  if (absl::Status good = check_value(value); !good.ok()) return good;
  if (absl::Status key = check_master_key(); !key.ok()) return key;
  const auto records = store_.secrets();
  if (!records.ok()) return records.status();
  const auto there = std::ranges::find(*records, name, &store::SecretRecord::name);
  const WallTime now = clock_.wall();
  store::SecretRecord record{.name = name, .version = 1, .sealed = {}, .created = now, .changed = now};
  if (there != records->end()) record.version = there->version + 1;
  record.sealed = master_->seal(name, record.version, value);
  return store_.set_secrets({&record, 1});
}

absl::Status Secrets::remove(const std::string& name) {
  if (const auto users = users_.find(name); users != users_.end())
    return absl::FailedPreconditionError(cat("the api_key of upstream ", config::join(users->second, ", "),
                                             " is \"secret:", name,
                                             "\"; give it another in the conf and reload, then remove this one"));
  const absl::Status removed = store_.remove_secret(name);
  return absl::IsNotFound(removed) ? absl::NotFoundError(cat("no secret ", name, "; see: sluice secret list"))
                                   : removed;
}

absl::StatusOr<std::size_t> Secrets::rotate() {
  if (absl::Status key = check_master_key(); !key.ok()) return key;
  auto records = store_.secrets();
  if (!records.ok()) return records.status();
  for (store::SecretRecord& record : *records) {
    const auto text = open(record);
    if (!text)
      return absl::FailedPreconditionError(cat(
          "no master key of the conf opens secret ", record.name,
          ", so nothing was changed; name the one it was sealed with in [secrets] old_master_key and reload, or set "
          "or remove the secret"));
    ++record.version;
    record.sealed = master_->seal(record.name, record.version, *text);
  }
  if (absl::Status set = store_.set_secrets(*records); !set.ok()) return set;
  return records->size();
}

absl::StatusOr<std::vector<Secrets::Listed>> Secrets::list() {
  auto records = store_.secrets();
  if (!records.ok()) return records.status();
  std::vector<Listed> all;
  for (store::SecretRecord& record : *records) {
    Listed& one = all.emplace_back();
    one.opens = open(record).has_value();
    if (const auto users = users_.find(record.name); users != users_.end()) one.used_by = users->second;
    one.record = std::move(record);
  }
  return all;
}

absl::StatusOr<Secrets::Opened> Secrets::open_all() {
  const auto records = store_.secrets();
  if (!records.ok()) return records.status();
  Opened opened;
  for (const store::SecretRecord& record : *records) {
    if (auto text = open(record))
      opened.values.emplace(record.name, *std::move(text));
    else
      opened.refused.emplace(record.name, master_ ? "the master key is not the one that it was sealed with"
                                                  : "there is no master key: see [secrets] master_key");
  }
  return opened;
}

}  // namespace sluice::admin
