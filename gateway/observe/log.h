// The log: one structured line an event, on standard error, written by a thread of its own.
//
// Never holds a word of a prompt or an answer, nor a key: events and field names are static text, and values are
// numbers, names from the conf, opaque ids and texts of the system.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <variant>

namespace sluice::observe {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : std::uint8_t { kText, kJson };

struct Value {
  std::string_view name;  // static text
  std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool> value;

  Value(std::string_view n, std::string_view v) : name(n), value(v) {}
  Value(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
  Value(std::string_view n, bool v) : name(n), value(v) {}
  Value(std::string_view n, double v) : name(n), value(v) {}
  template <std::signed_integral T>
  Value(std::string_view n, T v) : name(n), value(static_cast<std::int64_t>(v)) {}
  template <std::unsigned_integral T>
  Value(std::string_view n, T v) : name(n), value(static_cast<std::uint64_t>(v)) {}
};

// Thread:   any. A call formats on its own stack and queues; a full queue loses its oldest lines rather than wait.
// Lifetime: outlives every user; the destructor writes out what is queued.
class Log final {
 public:
  struct Options {
    Level level = Level::kInfo;
    Format format = Format::kText;
    std::uint32_t access_rate = 0;  // lines a second from access(); 0: none
    std::FILE* out = stderr;
  };
  explicit Log(const Options& options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `event`: static text of a few words, "agent connected".
  void write(Level level, std::string_view event, std::initializer_list<Value> values = {}) noexcept;
  void debug(std::string_view event, std::initializer_list<Value> values = {}) noexcept {
    write(Level::kDebug, event, values);
  }
  void info(std::string_view event, std::initializer_list<Value> values = {}) noexcept {
    write(Level::kInfo, event, values);
  }
  void warn(std::string_view event, std::initializer_list<Value> values = {}) noexcept {
    write(Level::kWarn, event, values);
  }
  void error(std::string_view event, std::initializer_list<Value> values = {}) noexcept {
    write(Level::kError, event, values);
  }

  // Whether a line of that level would be written: for those who would have to work for its values.
  [[nodiscard]] bool enabled(Level level) const noexcept { return level >= level_.load(std::memory_order_relaxed); }

  // One line for a call, whatever the level, at most access_rate a second. What is beyond is counted in
  // access_dropped(), and the next second's first line is followed by one that says how many were left out.
  void access(std::initializer_list<Value> values) noexcept;
  [[nodiscard]] bool access_enabled() const noexcept { return access_rate_.load(std::memory_order_relaxed) != 0; }
  [[nodiscard]] std::uint64_t access_dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

  // Applied on reload.
  void set_level(Level level) noexcept { level_.store(level, std::memory_order_relaxed); }
  void set_format(Format format) noexcept { format_.store(format, std::memory_order_relaxed); }
  void set_access_rate(std::uint32_t lines_a_second) noexcept {
    access_rate_.store(lines_a_second, std::memory_order_relaxed);
  }

 private:
  struct Writer;
  void write_line(Level level, std::string_view event, std::initializer_list<Value> values) noexcept;

  std::atomic<Level> level_;
  std::atomic<Format> format_;
  std::atomic<std::uint32_t> access_rate_;
  std::atomic<std::int64_t> access_second_{0};
  std::atomic<std::uint32_t> access_count_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> told_dropped_{0};  // of them, those that a line has told of
  std::unique_ptr<Writer> writer_;
};

}  // namespace sluice::observe
