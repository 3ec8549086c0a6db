// Keys: what the schema tells of each key, so that one description serves the reader, the reference file and the tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::int64_t>::max();  // TOML's integers end here
};
struct Times {
  Duration least{0};
  Duration most{10LL * 365 * 24 * 3600 * 1000};
};

enum class TextKind : std::uint8_t {
  kAny,      // may be empty
  kNeeded,   // may not be empty, and must be given
  kPath,     // a file or folder; relative: from the conf file's folder
  kAddress,  // "IP:PORT", may be empty
  kUrl,      // "http://…" or "https://…"
  kNetwork,  // "10.0.0.0/8" (in lists)
};

// When a key's value is read. What is read at start alone waits for a restart after a reload, which says so. Single
// keys only, none of a table that may be repeated.
enum class ReadAt : std::uint8_t { kReload, kStart };

// Visits every key of the schema in the order of the file. Each function may read or write the value.
// `help` is one line. Static text everywhere.
class Keys {
 public:
  virtual ~Keys() = default;

  // The next key is read at start alone.
  Keys& at_start() noexcept {
    read_at_ = ReadAt::kStart;
    return *this;
  }

  virtual void flag(const char* key, bool& value, const char* help) = 0;
  virtual void number(const char* key, std::uint64_t& value, Range range, const char* help) = 0;
  virtual void optional_number(const char* key, std::optional<std::uint64_t>& value, const char* help) = 0;
  virtual void size(const char* key, std::size_t& value, Range range, const char* help) = 0;
  virtual void duration(const char* key, Duration& value, Times times, const char* help) = 0;
  virtual void text(const char* key, std::string& value, TextKind kind, const char* help) = 0;
  virtual void texts(const char* key, std::vector<std::string>& value, TextKind kind, const char* help) = 0;
  virtual void secret(const char* key, Secret& value, const char* help) = 0;
  virtual void price(const char* key, std::uint64_t& micro_usd, const char* help) = 0;
  // A part of what `like` prices: costs the same unless the file says otherwise. REQUIRES: `like` was visited before.
  void price_like(const std::uint64_t& like, const char* key, std::uint64_t& micro_usd, const char* help) {
    micro_usd = like;
    price(key, micro_usd, help);
  }
  // A part of a side in a second price: as many times the part's first one as the side's second is the side's first,
  // unless the file says otherwise. REQUIRES: all others were visited before.
  void price_raised(const std::uint64_t& side, const std::uint64_t& side_second, const std::uint64_t& part,
                    const char* key, std::uint64_t& micro_usd, const char* help) {
    micro_usd = raised(side, side_second, part);
    price(key, micro_usd, help);
  }
  [[nodiscard]] static std::uint64_t raised(std::uint64_t side, std::uint64_t side_second, std::uint64_t part) {
    if (side == 0 || side == side_second) return side == 0 ? side_second : part;
    return static_cast<std::uint64_t>(
        std::llround(static_cast<double>(part) * static_cast<double>(side_second) / static_cast<double>(side)));
  }
  virtual void budgets(const char* key, std::vector<BudgetSpec>& value, const char* help) = 0;
  virtual void choose(const char* key, unsigned& value, std::span<const std::string_view> names, const char* help) = 0;

  void number(const char* key, std::uint32_t& value, Range range, const char* help) {
    std::uint64_t wide = value;
    range.most = std::min<std::uint64_t>(range.most, std::numeric_limits<std::uint32_t>::max());
    number(key, wide, range, help);
    value = static_cast<std::uint32_t>(wide);
  }
  // The enumerators of E count from 0, in the order of `names`.
  template <class E>
  void choice(const char* key, E& value, std::initializer_list<std::string_view> names, const char* help) {
    auto index = static_cast<unsigned>(value);
    choose(key, index, {names.begin(), names.size()}, help);
    value = static_cast<E>(index);
  }

  // The tables [policy.NAME].
  void policies(std::vector<PolicyTable>& tables) {
    if (!begin_group("policy")) return;
    for (PolicyTable& each : tables) {
      if (!begin_table(each.name().c_str(), each.help())) continue;
      each.values().describe(*this);
      end_table();
    }
    end_group();
  }
  template <class T>
  void table(const char* name, T& value, void (*describe)(T&, Keys&), const char* help) {
    if (!begin_table(name, help)) return;
    describe(value, *this);
    end_table();
  }
  // An array of tables.
  template <class T>
  void rows(const char* name, std::vector<T>& values, void (*describe)(T&, Keys&), const char* help) {
    const std::size_t count = begin_rows(name, values.size(), help);
    values.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (!begin_row(i)) continue;
      describe(values[i], *this);
      end_table();
    }
    end_rows();
  }

 protected:
  // Of the key that is visited now; once for each.
  [[nodiscard]] ReadAt take_read_at() noexcept { return std::exchange(read_at_, ReadAt::kReload); }

  // Tables whose names begin alike: those of the group "policy" are [policy.NAME].
  virtual bool begin_group(const char* name) = 0;
  virtual void end_group() = 0;
  virtual bool begin_table(const char* name, const char* help) = 0;
  virtual std::size_t begin_rows(const char* name, std::size_t have, const char* help) = 0;
  virtual bool begin_row(std::size_t index) = 0;
  virtual void end_table() = 0;
  virtual void end_rows() = 0;

 private:
  ReadAt read_at_ = ReadAt::kReload;
};

// Walks the whole schema.
void describe(Settings& settings, Keys& keys);
// The same of a price file.
void describe_price_file(std::vector<Model>& models, Keys& keys);

}  // namespace sluice::config
