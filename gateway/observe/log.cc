#include "observe/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>

#include <array>
#include <chrono>
#include <mutex>

#include "base/clock.h"

namespace sluice::observe {
namespace {

using Line = fmt::memory_buffer;

constexpr std::array kLevels{"debug", "info", "warn", "error"};
constexpr std::size_t kQueuedLines = 8192;

class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::FILE* out) : out_(out) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::fwrite(message.payload.data(), 1, message.payload.size(), out_);
    std::fflush(out_);
  }
  void flush_() override { std::fflush(out_); }

 private:
  std::FILE* out_;
};

void append(Line& line, std::string_view text) { line.append(text.data(), text.data() + text.size()); }

// Escapes so that a line stays one line and a value cannot pass for another field.
void append_quoted(Line& line, std::string_view text) {
  line.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(fmt::appender(line), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      line.push_back(c);
    }
  }
  line.push_back('"');
}

bool is_bare(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; });
}

void append_value(Line& line, const Value& value, Format format) {
  if (const auto* text = std::get_if<std::string_view>(&value.value)) {
    format == Format::kText&& is_bare(*text) ? append(line, *text) : append_quoted(line, *text);
  } else {
    std::visit(
        [&line]<class T>(const T& v) {
          if constexpr (!std::is_same_v<T, std::string_view>) fmt::format_to(fmt::appender(line), "{}", v);
        },
        value.value);
  }
}

void append_time(Line& line, WallTime now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  std::tm utc{};
  const std::time_t since = std::chrono::system_clock::to_time_t(second);
  ::gmtime_r(&since, &utc);
  fmt::format_to(fmt::appender(line), "{:%Y-%m-%dT%H:%M:%S}.{:06}Z", utc, (now - second).count());
}

// 2026-11-21T01:02:03.123456Z info agent connected agent=gpu-1 tunnels=4
void format_text(Line& line, WallTime now, Level level, std::string_view event, std::initializer_list<Value> values) {
  append_time(line, now);
  fmt::format_to(fmt::appender(line), " {} {}", kLevels[static_cast<std::size_t>(level)], event);
  for (const Value& value : values) {
    fmt::format_to(fmt::appender(line), " {}=", value.name);
    append_value(line, value, Format::kText);
  }
}

// {"time":"2026-…Z","level":"info","event":"agent connected","agent":"gpu-1","tunnels":4}
void format_json(Line& line, WallTime now, Level level, std::string_view event, std::initializer_list<Value> values) {
  append(line, "{\"time\":\"");
  append_time(line, now);
  fmt::format_to(fmt::appender(line), "\",\"level\":\"{}\",\"event\":", kLevels[static_cast<std::size_t>(level)]);
  append_quoted(line, event);
  for (const Value& value : values) {
    line.push_back(',');
    append_quoted(line, value.name);
    line.push_back(':');
    append_value(line, value, Format::kJson);
  }
  line.push_back('}');
}

}  // namespace

struct Log::Writer {
  explicit Writer(std::FILE* out)
      : pool(std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1)),
        // spdlog's interfaces take shared_ptr.
        sink(std::make_shared<FileSink>(out)),
        logger(std::make_shared<spdlog::async_logger>("sluice", sink, pool,
                                                      spdlog::async_overflow_policy::overrun_oldest)) {
    logger->set_level(spdlog::level::trace);
  }
  // The pool's thread writes out what is queued and ends before logger and sink go.
  ~Writer() { pool.reset(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<FileSink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log(const Options& options)
    : level_(options.level),
      format_(options.format),
      access_rate_(options.access_rate),
      writer_(std::make_unique<Writer>(options.out)) {}

Log::~Log() = default;

void Log::write(Level level, std::string_view event, std::initializer_list<Value> values) noexcept {
  if (enabled(level)) write_line(level, event, values);
}

void Log::write_line(Level level, std::string_view event, std::initializer_list<Value> values) noexcept {
  // Memory may run out while a line is made; losing the line is better than ending the caller.
  try {
    Line line;
    const WallTime now = SystemClock{}.wall();
    format_.load(std::memory_order_relaxed) == Format::kText ? format_text(line, now, level, event, values)
                                                             : format_json(line, now, level, event, values);
    line.push_back('\n');
    writer_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Log::access(std::initializer_list<Value> values) noexcept {
  const std::uint32_t rate = access_rate_.load(std::memory_order_relaxed);
  if (rate == 0) return;
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(Mono::now().time_since_epoch()).count();
  // Two workers may both begin a second; then a few lines more are written.
  const bool begins = access_second_.exchange(second, std::memory_order_relaxed) != second;
  if (begins) access_count_.store(0, std::memory_order_relaxed);
  if (access_count_.fetch_add(1, std::memory_order_relaxed) >= rate) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  write_line(Level::kInfo, "call", values);
  if (!begins) return;
  const std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
  if (const std::uint64_t told = told_dropped_.exchange(dropped, std::memory_order_relaxed); told < dropped)
    write_line(Level::kInfo, "calls left out of the log", {{"count", dropped - told}});
}

}  // namespace sluice::observe
