#include "identity/key_directory.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <ranges>
#include <utility>

#include "identity/secret_key.h"

namespace sluice::identity {
namespace {

constexpr std::size_t kSmallestTable = 64;

std::int64_t us_of(WallTime time) noexcept { return time.time_since_epoch().count(); }

std::uint64_t tag_of(const Sha256& hash) noexcept {
  std::uint64_t tag;
  std::memcpy(&tag, hash.data(), sizeof tag);
  return tag;
}

// One status and code for all of them; a key that is whole but refused gets one text, whether it was never made,
// revoked or has expired, so that trying keys teaches nothing. A typing mistake shows in the key itself, so saying so
// gives nothing away.
constexpr Error kUnknown = client_error(
    ErrorKind::kInvalidKey, "Incorrect API key provided: it is unknown here, revoked or expired. Ask for a new one.");
// Whoever holds it will hold it again, and is to ask for that and not for a new one.
constexpr Error kSuspended =
    client_error(ErrorKind::kInvalidKey, "This API key is suspended. Ask your administrator to resume it.");
constexpr Error kMistyped = client_error(
    ErrorKind::kInvalidKey,
    "Incorrect API key provided: its checksum does not fit. Check for a copy mistake, such as a missing character.");
constexpr Error kForeign =
    client_error(ErrorKind::kInvalidKey,
                 "Incorrect API key provided: it is not a key of this gateway, whose keys begin with sk-sluice-.");
constexpr Error kNotLoaded =
    self_error(ErrorKind::kUnavailable, "the gateway's key store is not loaded yet: try again soon");

}  // namespace

const Allowance& Subject::nothing() noexcept {
  static const Allowance kNothing;
  return kNothing;
}

bool Key::gone(WallTime now) const noexcept {
  return revoked.load(std::memory_order_acquire) || user->revoked.load(std::memory_order_acquire) ||
         user->tenant->revoked.load(std::memory_order_acquire) ||
         us_of(now) >= expires_us_.load(std::memory_order_acquire);
}

const std::vector<std::string>& Key::every_model() noexcept {
  static const std::vector<std::string> kEvery;
  return kEvery;
}

bool Key::may_use(std::string_view model) const noexcept {
  const std::vector<std::string>& allowed = models();
  return allowed.empty() || std::ranges::find(allowed, model) != allowed.end();
}

KeyDirectory::KeyDirectory() : current_(std::make_unique<Table>(kSmallestTable)) {
  table_.store(current_.get(), std::memory_order_release);
}
KeyDirectory::~KeyDirectory() = default;

Result<const Key*> KeyDirectory::find(std::string_view credential, WallTime now) const noexcept {
  if (!is_loaded()) return kNotLoaded;
  switch (check_form(credential, kApiKeyPrefix)) {
    case SecretForm::kForeign:
      return kForeign;
    case SecretForm::kMistyped:
      return kMistyped;
    case SecretForm::kGood:
      break;
  }
  const KeySecret* secret = look_up(*table_.load(std::memory_order_acquire), sha256(credential));
  if (secret == nullptr || us_of(now) >= secret->until_us.load(std::memory_order_acquire)) return kUnknown;
  const Key* key = secret->key;
  if (key->gone(now)) return kUnknown;
  if (key->suspended.load(std::memory_order_acquire)) return kSuspended;
  return key;
}

const KeySecret* KeyDirectory::look_up(const Table& table, const Sha256& hash) noexcept {
  const std::uint64_t tag = tag_of(hash);
  for (std::size_t at = tag & table.mask;; at = (at + 1) & table.mask) {
    const Slot& slot = table.slots[at];
    const KeySecret* secret = slot.secret.load(std::memory_order_acquire);
    if (secret == nullptr) return nullptr;
    if (slot.tag.load(std::memory_order_relaxed) == tag &&
        CRYPTO_memcmp(secret->hash.data(), hash.data(), hash.size()) == 0)
      return secret;
  }
}

void KeyDirectory::insert(Table& table, const KeySecret& secret) noexcept {
  const std::uint64_t tag = tag_of(secret.hash);
  std::size_t at = tag & table.mask;
  while (table.slots[at].secret.load(std::memory_order_relaxed) != nullptr) at = (at + 1) & table.mask;
  table.slots[at].tag.store(tag, std::memory_order_relaxed);
  table.slots[at].secret.store(&secret, std::memory_order_release);
}

// Readers stay on the old table until they load the new pointer; what is added meanwhile is added after the switch.
void KeyDirectory::grow(std::size_t size) {
  auto bigger = std::make_unique<Table>(size);
  for (const Key& key : keys_.all) insert(*bigger, key.first);
  for (const KeySecret& secret : more_secrets_) insert(*bigger, secret);
  table_.store(bigger.get(), std::memory_order_release);
  outgrown_.push_back(std::exchange(current_, std::move(bigger)));
  if (!is_loaded()) reclaim();  // nobody looks at a table before loaded()
}

// For one secret more.
void KeyDirectory::make_room() {
  const std::size_t size = current_->mask + 1;
  if ((keys_.all.size() + more_secrets_.size() + 1) * 2 > size) grow(size * 2);
}

KeySecret& KeyDirectory::add_secret(const Key& key, const Sha256& hash, std::int64_t until_us) {
  make_room();
  KeySecret& secret = more_secrets_.emplace_back();
  secret.hash = hash;
  secret.key = &key;
  secret.until_us.store(until_us, std::memory_order_release);
  insert(*current_, secret);
  return secret;
}

void KeyDirectory::reserve(std::size_t keys) {
  const std::size_t size = std::bit_ceil(std::max(keys * 2, kSmallestTable));
  if (size > current_->mask + 1) grow(size);
}

const Allowance* KeyDirectory::keep(Allowance allowance) {
  if (allowance == Subject::nothing()) return &Subject::nothing();
  return &allowances_.emplace_back(std::move(allowance));
}

Tenant& KeyDirectory::add_tenant(std::uint64_t id, std::string name, Allowance allowance, bool revoked) {
  Tenant& tenant = tenants_.add(id);
  tenant.index = static_cast<std::uint32_t>(tenants_.all.size() - 1);
  tenant.name = std::move(name);
  tenant.allow(keep(std::move(allowance)));
  tenant.revoked.store(revoked, std::memory_order_release);
  tenants_count_.store(tenant.index + 1, std::memory_order_release);
  return tenant;
}

User& KeyDirectory::add_user(std::uint64_t id, const Tenant& tenant, std::string name, Allowance allowance,
                             bool revoked) {
  User& user = users_.add(id);
  user.index = static_cast<std::uint32_t>(users_.all.size() - 1);
  user.tenant = &tenant;
  user.name = std::move(name);
  user.allow(keep(std::move(allowance)));
  user.revoked.store(revoked, std::memory_order_release);
  users_count_.store(user.index + 1, std::memory_order_release);
  return user;
}

Added KeyDirectory::add_key(KeyEntry entry) {
  if (look_up(*current_, entry.hash) != nullptr || keys_.find(entry.id) != nullptr) return Added::kDuplicate;
  make_room();
  Key& key = keys_.add(entry.id);
  key.index = static_cast<std::uint32_t>(keys_.all.size() - 1);
  key.user = entry.user;
  key.first.hash = entry.hash;
  key.first.key = &key;
  set_expires(key, entry.expires);
  set_models(key, std::move(entry.models));
  key.allow(keep(std::move(entry.allowance)));
  key.revoked.store(entry.revoked, std::memory_order_release);
  key.suspended.store(entry.suspended, std::memory_order_release);
  keys_count_.store(key.index + 1, std::memory_order_release);  // before a worker can see the key and use its index
  insert(*current_, key.first);
  if (entry.old_hash && look_up(*current_, *entry.old_hash) == nullptr)
    key.replaced_ = &add_secret(key, *entry.old_hash, us_of(entry.old_until));
  return Added::kYes;
}

Added KeyDirectory::rotate(Key& key, const Sha256& hash, WallTime old_until) {
  if (look_up(*current_, hash) != nullptr) return Added::kDuplicate;
  if (key.replaced_ != nullptr) key.replaced_->until_us.store(0, std::memory_order_release);
  KeySecret& fresh = add_secret(key, hash, kForever);
  key.newest_->until_us.store(us_of(old_until), std::memory_order_release);
  key.replaced_ = std::exchange(key.newest_, &fresh);
  return Added::kYes;
}

void KeyDirectory::set_expires(Key& key, std::optional<WallTime> expires) noexcept {
  key.expires_us_.store(expires ? us_of(*expires) : kForever, std::memory_order_release);
}

void KeyDirectory::set_models(Key& key, std::vector<std::string> models) {
  const auto* list = models.empty() ? &Key::every_model() : &model_lists_.emplace_back(std::move(models));
  key.models_.store(list, std::memory_order_release);
}

Tenant* KeyDirectory::tenant(std::uint64_t id) noexcept { return tenants_.find(id); }
User* KeyDirectory::user(std::uint64_t id) noexcept { return users_.find(id); }
Key* KeyDirectory::key(std::uint64_t id) noexcept { return keys_.find(id); }

void KeyDirectory::set_allowance(Subject& subject, Allowance allowance) { subject.allow(keep(std::move(allowance))); }

void KeyDirectory::revoke(Tenant& tenant) noexcept {
  tenant.revoked.store(true, std::memory_order_release);
  tell(&tenant, nullptr, nullptr);
}
void KeyDirectory::revoke(User& user) noexcept {
  user.revoked.store(true, std::memory_order_release);
  tell(nullptr, &user, nullptr);
}
void KeyDirectory::revoke(Key& key) noexcept {
  key.revoked.store(true, std::memory_order_release);
  tell(nullptr, nullptr, &key);
}

void KeyDirectory::suspend(Key& key) noexcept {
  key.suspended.store(true, std::memory_order_release);
  tell(nullptr, nullptr, &key);
}
void KeyDirectory::resume(Key& key) noexcept { key.suspended.store(false, std::memory_order_release); }

void KeyDirectory::tell(const Tenant* tenant, const User* user, const Key* key) noexcept {
  if (listener_ == nullptr) return;
  listener_->revoked(tenant, user, key);
  reclaim();
}

std::size_t KeyDirectory::table_bytes() const noexcept {
  std::size_t slots = current_->mask + 1;
  for (const auto& table : outgrown_) slots += table->mask + 1;
  return slots * sizeof(Slot);
}

template <class T>
T* KeyDirectory::Entries<T>::find(std::uint64_t id) noexcept {
  const auto at = std::ranges::lower_bound(by_id, id, {}, [](const T* entry) { return entry->id; });
  return at != by_id.end() && (*at)->id == id ? *at : nullptr;
}

template <class T>
T& KeyDirectory::Entries<T>::add(std::uint64_t id) {
  T& entry = all.emplace_back();
  entry.id = id;
  const auto at = std::ranges::lower_bound(by_id, id, {}, [](const T* other) { return other->id; });
  by_id.insert(at, &entry);
  return entry;
}

}  // namespace sluice::identity
