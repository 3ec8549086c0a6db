// Numbers for operators, in Prometheus' text form. Each worker adds to memory of its own; a scrape sums.
//
// A series is a row of 64-bit cells, the same row in every shard. Shards have a fixed size, so a series can be added
// while workers run (a reload brings a new model); cells are only ever written by their shard's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::observe {

struct CounterId {
  std::uint32_t cell = 0;
};
struct GaugeId {
  std::uint32_t cell = 0;
};
struct HistogramId {
  std::uint32_t cell = 0;
  std::span<const std::chrono::microseconds> bounds{};
};

// One thread's cells.
// Thread: add(), set(), record() on the owning thread only; the scraper reads at any time.
class Shard final {
 public:
  static constexpr std::uint32_t kCells = 16 * 1024;
  Shard() : cells_(std::make_unique<std::atomic<std::uint64_t>[]>(kCells)) {}

  void add(CounterId id, std::uint64_t n = 1) noexcept { bump(id.cell, n); }
  void add(GaugeId id, std::int64_t n) noexcept {
    bump(id.cell, static_cast<std::uint64_t>(n));
  }  // wraps as two's complement
  void set(GaugeId id, std::int64_t value) noexcept {
    cells_[id.cell].store(static_cast<std::uint64_t>(value), std::memory_order_relaxed);
  }
  void record(const HistogramId& id, std::chrono::microseconds value) noexcept;

 private:
  friend class Metrics;
  // One writer: a load and a store, no locked instruction.
  void bump(std::uint32_t cell, std::uint64_t n) noexcept {
    cells_[cell].store(cells_[cell].load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::unique_ptr<std::atomic<std::uint64_t>[]> cells_;
};

enum class Across : std::uint8_t {
  kSum,     // one series, summed over the shards
  kWorker,  // one series a shard, with label worker="0", …
};

// Every series of the process. Made and wired by main; handed down by reference.
// Thread:   shard(i) belongs to thread i; everything else from any thread.
// Lifetime: outlives every thread that has a shard. Names, help and label texts are copied.
class Metrics final {
 public:
  // Shards 0 … workers-1 for the workers, shard `workers` for the control thread.
  explicit Metrics(unsigned workers);

  // `labels`: `endpoint="chat.completions",status="200"`, see label(); empty: none. The same name and labels give the
  // same id. A full table gives an id that nobody sees.
  CounterId counter(std::string_view name, std::string_view help, std::string_view labels = {});
  GaugeId gauge(std::string_view name, std::string_view help, std::string_view labels = {},
                Across across = Across::kSum);
  HistogramId histogram(std::string_view name, std::string_view help, std::string_view labels = {});
  // Asked at each scrape, on the scraping thread.
  void gauge_from(std::string_view name, std::string_view help, std::string_view labels, std::function<double()> read);
  void counter_from(std::string_view name, std::string_view help, std::string_view labels,
                    std::function<double()> read);

  [[nodiscard]] Shard& shard(unsigned index) noexcept { return shards_[index]; }
  [[nodiscard]] Shard& control() noexcept { return shards_.back(); }

  // Text exposition format 0.0.4: content type "text/plain; version=0.0.4".
  [[nodiscard]] std::string prometheus() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Series {
    std::string labels;
    std::uint32_t cell = 0;
    std::function<double()> read;  // set: no cell
  };
  struct Family {
    std::string name, help;
    Kind kind = Kind::kCounter;
    Across across = Across::kSum;
    std::vector<Series> series;
  };
  Family& family(std::string_view name, std::string_view help, Kind kind, Across across);
  std::uint32_t cell_of(Family& family, std::string_view labels, std::uint32_t cells);
  [[nodiscard]] std::uint64_t sum(std::uint32_t cell) const noexcept;
  void write_series(std::string& out, const Family& family, const Series& series) const;
  void write_histogram(std::string& out, const Family& family, const Series& series) const;

  mutable std::mutex mutex_;  // the tables below; never taken by add(), set(), record()
  std::vector<Family> families_;
  std::uint32_t next_cell_ = 1;  // cell 0 belongs to ids that nobody sees
  std::vector<Shard> shards_;
};

// `name="value"`, value escaped. Values must come from the conf or from a fixed set, never from a request.
[[nodiscard]] std::string label(std::string_view name, std::string_view value);

}  // namespace sluice::observe
