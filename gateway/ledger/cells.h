// Where counters live: one ScopeCells per key, user, tenant, model or user-on-model that has a limit or a budget, found
// by dense index without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ledger/budget.h"
#include "ledger/rate_cell.h"

namespace sluice::ledger {

// All counters of one key, user, tenant, model or user-on-model.
// Thread:   counters any, lock-free; configure() from one thread at a time.
// Lifetime: never freed while the ledger lives.
struct ScopeCells {
  static constexpr std::size_t kBudgetKinds = 6;
  [[nodiscard]] static constexpr std::size_t kind_of(BudgetUnit unit, BudgetPeriod period) noexcept {
    return static_cast<std::size_t>(unit) * 3 + static_cast<std::size_t>(period);
  }

  ScopeCells(Scope scope_, std::uint64_t id_, std::string name_) : scope(scope_), id(id_), name(std::move(name_)) {}
  ~ScopeCells() {
    for (auto& budget : budgets) delete budget.load(std::memory_order_acquire);
  }
  ScopeCells(const ScopeCells&) = delete;
  ScopeCells& operator=(const ScopeCells&) = delete;

  // Sets amounts in place: counters go on. Budgets that are not in `specs` stop to apply and to count; one that applies
  // from now on is made anew, of epoch `since`. Returns which were made, as budget_mask.
  std::uint8_t configure(const LimitSpec& limits, const std::vector<BudgetSpec>& specs, const absl::TimeZone& zone,
                         WallTime now, Epoch since);
  // Null: it does not apply.
  [[nodiscard]] Budget* budget(BudgetUnit unit, BudgetPeriod period) const noexcept;

  Gcra requests;
  Gcra tokens;
  Slots slots;
  std::atomic<std::uint8_t> budget_mask{0};  // bit kind_of(): applies now
  std::array<std::atomic<Budget*>, kBudgetKinds> budgets{};

  const Scope scope;
  const std::uint64_t id;  // opaque; of a user-on-model the user's; of a model 0
  const std::string name;  // of the key: empty; for people
  std::string model;       // of a model or user-on-model
};

// T* by dense index, growing without moving.
// Thread: find() any, lock-free; slot() from one thread at a time.
template <class T>
class IndexTable final {
 public:
  static constexpr std::uint32_t kChunk = 4096;
  static constexpr std::uint32_t kChunks = 4096;  // sixteen million entries

  ~IndexTable() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_acquire);
  }
  // Null: nothing there, or an index beyond the table.
  [[nodiscard]] T* find(std::uint32_t index) const noexcept {
    const std::uint32_t chunk = index / kChunk;
    if (chunk >= kChunks) return nullptr;
    const Chunk* at = chunks_[chunk].load(std::memory_order_acquire);
    return at == nullptr ? nullptr : (*at)[index % kChunk].load(std::memory_order_acquire);
  }
  // REQUIRES: index < kChunk * kChunks.
  [[nodiscard]] std::atomic<T*>& slot(std::uint32_t index) {
    auto& chunk = chunks_[index / kChunk];
    Chunk* at = chunk.load(std::memory_order_relaxed);
    if (at == nullptr) chunk.store(at = new Chunk{}, std::memory_order_release);
    return (*at)[index % kChunk];
  }

 private:
  using Chunk = std::array<std::atomic<T*>, kChunk>;
  std::array<std::atomic<Chunk*>, kChunks> chunks_{};
};

// What the conf says of a model.
struct ModelTerms {
  std::vector<BudgetSpec> user_budgets;  // for each user on this model
  Price price;
  Epoch since = 0;  // of user_budgets that are made by them
};

// The cells of one user on one model; made when the user first calls the model.
struct UserModelCells {
  UserModelCells(std::uint64_t key_, std::uint64_t user_id, std::string user)
      : key(key_), cells(Scope::kUserModel, user_id, std::move(user)) {}
  const std::uint64_t key;  // user index << 32 | model index
  UserModelCells* next = nullptr;
  bool own = false;  // control thread: has budgets of its own, the model's terms do not matter
  ScopeCells cells;
};

// Insert-only hash table of fixed width.
// Thread: any, lock-free.
class UserModelTable final {
 public:
  static constexpr std::size_t kBuckets = 1u << 16;
  UserModelTable() : buckets_(std::make_unique<std::atomic<UserModelCells*>[]>(kBuckets)) {}
  ~UserModelTable();

  [[nodiscard]] UserModelCells* find(std::uint64_t key) const noexcept;
  // Adds `fresh`, or returns the one that was there first.
  UserModelCells* insert(std::unique_ptr<UserModelCells> fresh) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  template <class F>
  void for_each(F&& f) const {
    if (size() == 0) return;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      for (UserModelCells* at = buckets_[i].load(std::memory_order_acquire); at != nullptr; at = at->next) f(*at);
    }
  }

 private:
  [[nodiscard]] std::atomic<UserModelCells*>& bucket(std::uint64_t key) const noexcept {
    return buckets_[(key * 0x9E3779B97F4A7C15u) >> 48];
  }
  std::unique_ptr<std::atomic<UserModelCells*>[]> buckets_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace sluice::ledger
