#include "load/report.h"

#include <cstdio>
#include <initializer_list>

namespace sluice::bench {
namespace {

// Just enough JSON for flat objects of numbers and plain names.
class Object final {
 public:
  Object& number(const char* name, double value) {
    char text[64];
    std::snprintf(text, sizeof(text), "%.12g", value);
    return raw(name, text);
  }
  Object& text(const char* name, const std::string& value) { return raw(name, "\"" + value + "\""); }
  Object& raw(const char* name, const std::string& value) {
    text_ += (text_.size() > 1 ? ", \"" : "\"") + std::string(name) + "\": " + value;
    return *this;
  }
  [[nodiscard]] std::string done() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

std::string micros(const Histogram& histogram) {
  Object object;
  object.number("count", static_cast<double>(histogram.count())).number("mean", histogram.mean() / 1e3);
  const std::initializer_list<std::pair<const char*, double>> quantiles{
      {"p50", 0.5}, {"p75", 0.75}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
  for (const auto& [name, quantile] : quantiles) {
    object.number(name, static_cast<double>(histogram.at(quantile)) / 1e3);
  }
  return object.number("max", static_cast<double>(histogram.max()) / 1e3).done();
}

std::string faults(const Tally& tally) {
  Object object;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (tally.faults[i] != 0) object.number(kFaultNames[i], static_cast<double>(tally.faults[i]));
  }
  if (tally.last_status != 0) object.number("last_status", tally.last_status);
  return object.done();
}

std::string watched(const Window& window) {
  std::string list = "[";
  for (std::size_t i = 0; i < window.at_end.size(); ++i) {
    Object object;
    object.number("pid", window.at_end[i].pid)
        .number("cpu_us", static_cast<double>(window.at_end[i].cpu_ns - window.at_begin[i].cpu_ns) / 1e3)
        .number("rss_start", static_cast<double>(window.at_start[i].rss_bytes))
        .number("rss_begin", static_cast<double>(window.at_begin[i].rss_bytes))
        .number("rss_end", static_cast<double>(window.at_end[i].rss_bytes));
    list += (i == 0 ? "" : ", ") + object.done();
  }
  return list + "]";
}

}  // namespace

std::string report(const Options& options, const Tally& tally, const Window& window) {
  Object object;
  object.number("seconds", window.seconds)
      .number("connections", options.connections)
      .number("rate", options.rate)
      .number("calls", static_cast<double>(tally.calls))
      .number("events", static_cast<double>(tally.events))
      .number("reads", static_cast<double>(tally.reads))
      .number("aborts", static_cast<double>(tally.aborts))
      .number("connects", static_cast<double>(tally.connects))
      .number("resumed", static_cast<double>(tally.resumed))
      .text("cipher", tally.cipher)
      .number("own_cpu_us", window.own_cpu_s * 1e6)
      .raw("faults", faults(tally))
      .raw("latency_us", micros(tally.latency))
      .raw("first_us", micros(tally.first))
      .raw("gap_us", micros(tally.gap))
      .raw("handshake_us", micros(tally.handshake))
      .raw("watched", watched(window));
  return object.done();
}

}  // namespace sluice::bench
