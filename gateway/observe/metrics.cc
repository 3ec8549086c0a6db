#include "observe/metrics.h"

#include <fmt/format.h>

#include <array>

namespace sluice::observe {
namespace {

using std::chrono::microseconds;

// Times to a first token and of whole calls lie far apart; two to three bounds a decade serve both.
constexpr std::array kBounds{
    microseconds(500),         microseconds(1'000),       microseconds(2'500),      microseconds(5'000),
    microseconds(10'000),      microseconds(25'000),      microseconds(50'000),     microseconds(100'000),
    microseconds(250'000),     microseconds(500'000),     microseconds(1'000'000),  microseconds(2'500'000),
    microseconds(5'000'000),   microseconds(10'000'000),  microseconds(30'000'000), microseconds(60'000'000),
    microseconds(120'000'000), microseconds(300'000'000), microseconds(600'000'000)};

// Cells of a histogram: one a bound, one for what is beyond, the sum in microseconds.
constexpr std::uint32_t kHistogramCells = kBounds.size() + 2;

double seconds(microseconds value) { return static_cast<double>(value.count()) / 1e6; }

}  // namespace

void Shard::record(const HistogramId& id, microseconds value) noexcept {
  std::uint32_t bucket = 0;
  while (bucket < id.bounds.size() && value > id.bounds[bucket]) ++bucket;
  if (id.bounds.empty()) return;
  bump(id.cell + bucket, 1);
  bump(id.cell + static_cast<std::uint32_t>(id.bounds.size()) + 1,
       static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0)));
}

Metrics::Metrics(unsigned workers) : shards_(workers + 1) {}

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, Kind kind, Across across) {
  for (Family& known : families_) {
    if (known.name == name) return known;
  }
  return families_.emplace_back(Family{std::string(name), std::string(help), kind, across, {}});
}

std::uint32_t Metrics::cell_of(Family& family, std::string_view labels, std::uint32_t cells) {
  for (const Series& known : family.series) {
    if (known.labels == labels) return known.cell;
  }
  if (next_cell_ + cells > Shard::kCells) return 0;
  const std::uint32_t cell = next_cell_;
  next_cell_ += cells;
  family.series.push_back({std::string(labels), cell, nullptr});
  return cell;
}

CounterId Metrics::counter(std::string_view name, std::string_view help, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  return {cell_of(family(name, help, Kind::kCounter, Across::kSum), labels, 1)};
}

GaugeId Metrics::gauge(std::string_view name, std::string_view help, std::string_view labels, Across across) {
  const std::lock_guard lock(mutex_);
  return {cell_of(family(name, help, Kind::kGauge, across), labels, 1)};
}

HistogramId Metrics::histogram(std::string_view name, std::string_view help, std::string_view labels) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t cell = cell_of(family(name, help, Kind::kHistogram, Across::kSum), labels, kHistogramCells);
  return {cell, cell == 0 ? std::span<const microseconds>{} : std::span<const microseconds>(kBounds)};
}

void Metrics::gauge_from(std::string_view name, std::string_view help, std::string_view labels,
                         std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  family(name, help, Kind::kGauge, Across::kSum).series.push_back({std::string(labels), 0, std::move(read)});
}

void Metrics::counter_from(std::string_view name, std::string_view help, std::string_view labels,
                           std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  family(name, help, Kind::kCounter, Across::kSum).series.push_back({std::string(labels), 0, std::move(read)});
}

std::uint64_t Metrics::sum(std::uint32_t cell) const noexcept {
  std::uint64_t all = 0;
  for (const Shard& shard : shards_) all += shard.cells_[cell].load(std::memory_order_relaxed);
  return all;
}

std::string Metrics::prometheus() const {
  static constexpr std::array kTypes{"counter", "gauge", "histogram"};
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const Family& family : families_) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", family.name, family.help,
                   kTypes[static_cast<std::size_t>(family.kind)]);
    for (const Series& series : family.series) write_series(out, family, series);
  }
  return out;
}

void Metrics::write_series(std::string& out, const Family& family, const Series& series) const {
  const auto to = std::back_inserter(out);
  const std::string labels = series.labels.empty() ? "" : fmt::format("{{{}}}", series.labels);
  if (series.read) {
    fmt::format_to(to, "{}{} {}\n", family.name, labels, series.read());
  } else if (family.kind == Kind::kHistogram) {
    write_histogram(out, family, series);
  } else if (family.across == Across::kWorker) {
    for (std::size_t i = 0; i + 1 < shards_.size(); ++i) {
      const auto value = static_cast<std::int64_t>(shards_[i].cells_[series.cell].load(std::memory_order_relaxed));
      fmt::format_to(to, "{}{{{}{}worker=\"{}\"}} {}\n", family.name, series.labels, series.labels.empty() ? "" : ",",
                     i, value);
    }
  } else if (family.kind == Kind::kGauge) {
    fmt::format_to(to, "{}{} {}\n", family.name, labels, static_cast<std::int64_t>(sum(series.cell)));
  } else {
    fmt::format_to(to, "{}{} {}\n", family.name, labels, sum(series.cell));
  }
}

void Metrics::write_histogram(std::string& out, const Family& family, const Series& series) const {
  const auto to = std::back_inserter(out);
  const std::string labels = series.labels.empty() ? "" : fmt::format("{{{}}}", series.labels);
  const std::string before = series.labels.empty() ? "" : series.labels + ",";
  std::uint64_t count = 0;
  for (std::uint32_t i = 0; i < kBounds.size(); ++i) {
    count += sum(series.cell + i);
    fmt::format_to(to, "{}_bucket{{{}le=\"{}\"}} {}\n", family.name, before, seconds(kBounds[i]), count);
  }
  count += sum(series.cell + kBounds.size());
  fmt::format_to(to, "{}_bucket{{{}le=\"+Inf\"}} {}\n", family.name, before, count);
  const microseconds total(sum(series.cell + kBounds.size() + 1));
  fmt::format_to(to, "{0}_sum{1} {2}\n{0}_count{1} {3}\n", family.name, labels, seconds(total), count);
}

std::string label(std::string_view name, std::string_view value) {
  std::string text = fmt::format("{}=\"", name);
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

}  // namespace sluice::observe
