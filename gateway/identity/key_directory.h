// The directory itself: everything that the store knows about callers, in memory.
//
//   table: 2^n slots of { first 8 bytes of the SHA-256 | KeySecret* }, open addressing, linear probing, at most half
//   full
//
// The hash is uniform, so its own bytes are the slot number; nobody can aim at one slot without inverting SHA-256. Keys
// are never taken out: a revoked one stays, so that its answer is "revoked" and running calls may look at it. A slot is
// written once, tag first, then the pointer with release order; a reader that sees the pointer sees the whole key.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/directory.h"

namespace sluice::identity {

// Hears of a revocation after the directory's atomics have been set.
class RevocationListener {
 public:
  virtual ~RevocationListener() = default;
  // Exactly one of the three is not null. Returns when every worker has seen it: none admits the subject any more, and
  // each has told its running calls of that subject to end. REQUIRES: called on the control thread, never on a worker.
  virtual void revoked(const Tenant* tenant, const User* user, const Key* key) noexcept = 0;
};

enum class Added : std::uint8_t { kYes, kDuplicate };

// Thread:   find() from any thread, lock-free; the counts from any thread; the rest from the control thread.
// Lifetime: outlives every call; entries live as long as it does.
class KeyDirectory final : public Directory {
 public:
  KeyDirectory();
  ~KeyDirectory() override;
  KeyDirectory(const KeyDirectory&) = delete;
  KeyDirectory& operator=(const KeyDirectory&) = delete;

  [[nodiscard]] Result<const Key*> find(std::string_view credential, WallTime now) const noexcept override;

  // The server gives its listener before the first revoke(); null: nobody needs to hear.
  void listen(RevocationListener* listener) noexcept { listener_ = listener; }

  // Filling. Ids come from the store; an id is used once per kind.
  void reserve(std::size_t keys);
  Tenant& add_tenant(std::uint64_t id, std::string name, Allowance allowance, bool revoked = false);
  User& add_user(std::uint64_t id, const Tenant& tenant, std::string name, Allowance allowance, bool revoked = false);
  struct KeyEntry {
    std::uint64_t id = 0;
    const User* user = nullptr;
    Sha256 hash{};
    std::optional<WallTime> expires;
    std::vector<std::string> models;
    Allowance allowance;
    bool revoked = false;
    bool suspended = false;
    std::optional<Sha256> old_hash{};  // of the secret before, which is good until old_until
    WallTime old_until{};
  };
  // kDuplicate: this hash or id is known already; nothing changed.
  Added add_key(KeyEntry entry);
  // From now on find() answers; before, it says kUnavailable.
  void loaded() noexcept { loaded_.store(true, std::memory_order_release); }
  [[nodiscard]] bool is_loaded() const noexcept override { return loaded_.load(std::memory_order_acquire); }

  // Null: no such id.
  [[nodiscard]] Tenant* tenant(std::uint64_t id) noexcept;
  [[nodiscard]] User* user(std::uint64_t id) noexcept;
  [[nodiscard]] Key* key(std::uint64_t id) noexcept;

  // Puts a new allowance in place of the old one, which running calls may still read: it is kept.
  void set_allowance(Subject& subject, Allowance allowance);

  // Return when no worker admits the subject and its running calls have been told (RevocationListener). Every worker
  // has been heard by then, so what lookups no longer use is freed as well.
  void revoke(Tenant& tenant) noexcept;
  void revoke(User& user) noexcept;
  void revoke(Key& key) noexcept;
  // The same, until resume().
  void suspend(Key& key) noexcept;
  void resume(Key& key) noexcept;

  // Lets the key be shown by another secret from now on, and by the one that it had until `old_until`; one that it had
  // before that ends now. kDuplicate: this hash is known already; nothing changed.
  Added rotate(Key& key, const Sha256& hash, WallTime old_until);
  // Nothing: never.
  void set_expires(Key& key, std::optional<WallTime> expires) noexcept;
  void set_models(Key& key, std::vector<std::string> models);

  // Dense counts, for the ledger's arrays: indexes are below these.
  [[nodiscard]] std::uint32_t tenants() const noexcept { return tenants_count_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint32_t users() const noexcept { return users_count_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint32_t keys() const noexcept { return keys_count_.load(std::memory_order_acquire); }
  // What the tables take, those included that have been outgrown and not freed yet. Thread: control thread.
  [[nodiscard]] std::size_t table_bytes() const noexcept;

 private:
  struct Slot {
    std::atomic<std::uint64_t> tag{0};
    std::atomic<const KeySecret*> secret{nullptr};
  };
  struct Table {
    explicit Table(std::size_t size) : mask(size - 1), slots(std::make_unique<Slot[]>(size)) {}
    std::size_t mask;
    std::unique_ptr<Slot[]> slots;
  };
  // Entries of one kind: they never move, and are found by id through a sorted list (ids mostly come in order).
  template <class T>
  struct Entries {
    std::deque<T> all;
    std::vector<T*> by_id;
    [[nodiscard]] T* find(std::uint64_t id) noexcept;
    T& add(std::uint64_t id);
  };

  [[nodiscard]] static const KeySecret* look_up(const Table& table, const Sha256& hash) noexcept;
  static void insert(Table& table, const KeySecret& secret) noexcept;
  void make_room();
  KeySecret& add_secret(const Key& key, const Sha256& hash, std::int64_t until_us);
  void grow(std::size_t size);
  void tell(const Tenant* tenant, const User* user, const Key* key) noexcept;
  // Frees tables that have been outgrown. REQUIRES: no thread is inside a find() that began before the last add_key().
  void reclaim() noexcept { outgrown_.clear(); }
  [[nodiscard]] const Allowance* keep(Allowance allowance);

  std::atomic<bool> loaded_{false};
  std::atomic<const Table*> table_;
  std::atomic<std::uint32_t> tenants_count_{0}, users_count_{0}, keys_count_{0};

  std::unique_ptr<Table> current_;
  std::vector<std::unique_ptr<Table>> outgrown_;
  Entries<Tenant> tenants_;
  Entries<User> users_;
  Entries<Key> keys_;
  std::deque<KeySecret> more_secrets_;  // beside each key's first
  std::deque<Allowance> allowances_;
  std::deque<std::vector<std::string>> model_lists_;
  RevocationListener* listener_ = nullptr;
};

}  // namespace sluice::identity
