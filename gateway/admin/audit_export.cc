#include "admin/audit_export.h"

#include <array>
#include <charconv>

#include "admin/text.h"
#include "base/ids.h"
#include "base/json.h"
#include "ledger/price.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kColumns =
    "time,request_id,boot_id,number,tenant,user,tenant_id,user_id,key_id,channel,endpoint,stream,model,model_served,"
    "upstream,"
    "status,end_reason,prompt_tokens,cached_tokens,completion_tokens,reasoning_tokens,usage_source,cost_micros,ttft_us,"
    "duration_us,bytes_in,bytes_out,client_ip,labels,client_request_id,cache_write_tokens,audio_input_tokens,audio_"
    "output_tokens,"
    "images,seconds,characters,searches,attempts,refused_limit,refused_scope,cache_write_1h_tokens,price_tier,upstream_"
    "cost_micros";

std::string hex(std::uint64_t value) {
  std::array<char, 16> digits;
  return std::string(write_hex(value, digits));
}

std::string id_or_none(Scope scope, std::uint64_t id) { return id == 0 ? std::string() : format_id(scope, id); }

// One CSV line, field by field.
class CsvLine final {
 public:
  explicit CsvLine(std::string& into) : into_(into) {}
  CsvLine& text(std::string_view field) {
    comma();
    append_csv_field(into_, field);
    return *this;
  }
  template <std::integral T>
  CsvLine& number(T value) {
    comma();
    std::array<char, 24> digits;
    into_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
    return *this;
  }
  // -1: nothing came, so the field is empty; 0 would be a time.
  CsvLine& micros(std::chrono::microseconds value) { return known(value.count()); }
  CsvLine& known(std::int64_t value) {
    if (value >= 0) return number(value);
    comma();
    return *this;
  }

 private:
  void comma() {
    if (!first_) into_ += ',';
    first_ = false;
  }
  std::string& into_;
  bool first_ = true;
};

// The limit that refused, in the words of the x-sluice-limit-… headers; empty where none did.
struct LimitText {
  explicit LimitText(const ledger::RefusedBy& by)
      : name(ledger::limit_name(by, room)), scope(name.empty() ? "" : ledger::to_string(by.scope)) {}
  char room[32];
  std::string_view name;
  const char* scope;
};

// U+2028 and U+2029 may stand in JSON as they are, and are ends of lines to some who read it by lines.
void append_on_one_line(std::string& into, std::string_view text) {
  constexpr std::string_view kFront = "\xE2\x80";
  for (;;) {
    const std::size_t at = text.find(kFront);
    const std::size_t behind = std::min(at, text.size());
    into += text.substr(0, behind);
    text.remove_prefix(behind);
    if (text.size() <= kFront.size()) break;
    const char last = text[kFront.size()];
    const bool separator = last == '\xA8' || last == '\xA9';
    into += separator ? (last == '\xA8' ? "\\u2028" : "\\u2029") : text.substr(0, kFront.size() + 1);
    text.remove_prefix(kFront.size() + 1);
  }
  into.append(text) += '\n';
}

// Which of the model's prices it was charged by.
const char* tier_name(std::uint8_t tier) noexcept {
  constexpr const char* kNames[] = {"standard", "long", "batch", "long_batch"};
  return kNames[tier & (ledger::kTierLong | ledger::kTierBatch)];
}

json::value known(std::int64_t micros) { return micros < 0 ? json::value() : json::value(micros); }

json::value labels_of(const journal::AuditRecord& record) {
  if (auto labels = parse_object(record.labels.view(), 4096)) return std::move(*labels);
  return json::object();
}

json::string_view view(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::optional<ExportFormat> parse_export_format(std::string_view text) noexcept {
  if (text == "csv") return ExportFormat::kCsv;
  if (text == "jsonl") return ExportFormat::kJsonl;
  return std::nullopt;
}

void append_csv_field(std::string& into, std::string_view field) {
  const bool formula = !field.empty() && std::string_view("=+-@\t\r").find(field.front()) != std::string_view::npos;
  const bool quote = formula || field.find_first_of(",\"\r\n") != std::string_view::npos;
  if (!quote) {
    into += field;
    return;
  }
  into += '"';
  if (formula) into += '\'';
  for (const char c : field) {
    if (c == '"') into += '"';
    into += c;
  }
  into += '"';
}

void append_csv_head(std::string& into) { into.append(kColumns).append("\r\n"); }

void append_csv(std::string& into, const journal::AuditRecord& r) {
  const LimitText limit(r.refused_by);
  CsvLine(into)
      .text(format_time(r.began))
      .text(r.request_id)
      .text(hex(r.boot_id))
      .number(r.number)
      .text(r.tenant)
      .text(r.user)
      .text(id_or_none(Scope::kTenant, r.tenant_id))
      .text(id_or_none(Scope::kUser, r.user_id))
      .text(id_or_none(Scope::kKey, r.key_id))
      .text(r.channel)
      .text(r.endpoint)
      .text(r.stream ? "true" : "false")
      .text(r.model)
      .text(r.model_served)
      .text(r.upstream)
      .number(r.status)
      .text(to_string(r.end_reason))
      .number(r.usage.prompt_tokens)
      .number(r.usage.cached_tokens)
      .number(r.usage.completion_tokens)
      .number(r.usage.reasoning_tokens)
      .text(to_string(r.usage.source))
      .number(r.cost_micros)
      .micros(r.ttft)
      .micros(r.duration)
      .number(r.bytes_in)
      .number(r.bytes_out)
      .text(r.client_ip)
      .text(r.labels)
      .text(r.client_request_id)
      .number(r.usage.cache_write_tokens)
      .number(r.usage.audio_input_tokens)
      .number(r.usage.audio_output_tokens)
      .number(r.usage.images)
      .number(r.usage.seconds)
      .number(r.usage.characters)
      .number(r.usage.searches)
      .number(r.attempts)
      .text(limit.name)
      .text(limit.scope)
      .number(r.usage.cache_write_1h_tokens)
      .text(tier_name(r.price_tier))
      .known(r.upstream_cost_micros);
  into += "\r\n";
}

void append_jsonl(std::string& into, const journal::AuditRecord& r) {
  const LimitText limit(r.refused_by);
  const json::object line{{"time", format_time(r.began)},
                          {"request_id", view(r.request_id)},
                          {"boot_id", hex(r.boot_id)},
                          {"number", r.number},
                          {"tenant", view(r.tenant)},
                          {"user", view(r.user)},
                          {"tenant_id", id_or_none(Scope::kTenant, r.tenant_id)},
                          {"user_id", id_or_none(Scope::kUser, r.user_id)},
                          {"key_id", id_or_none(Scope::kKey, r.key_id)},
                          {"channel", view(r.channel)},
                          {"endpoint", view(r.endpoint)},
                          {"stream", r.stream},
                          {"model", view(r.model)},
                          {"model_served", view(r.model_served)},
                          {"upstream", view(r.upstream)},
                          {"status", r.status},
                          {"end_reason", to_string(r.end_reason)},
                          {"prompt_tokens", r.usage.prompt_tokens},
                          {"cached_tokens", r.usage.cached_tokens},
                          {"completion_tokens", r.usage.completion_tokens},
                          {"reasoning_tokens", r.usage.reasoning_tokens},
                          {"usage_source", to_string(r.usage.source)},
                          {"cost_micros", r.cost_micros},
                          {"ttft_us", r.ttft.count() < 0 ? json::value() : json::value(r.ttft.count())},
                          {"duration_us", r.duration.count()},
                          {"bytes_in", r.bytes_in},
                          {"bytes_out", r.bytes_out},
                          {"client_ip", view(r.client_ip)},
                          {"labels", labels_of(r)},
                          {"client_request_id", view(r.client_request_id)},
                          {"cache_write_tokens", r.usage.cache_write_tokens},
                          {"audio_input_tokens", r.usage.audio_input_tokens},
                          {"audio_output_tokens", r.usage.audio_output_tokens},
                          {"images", r.usage.images},
                          {"seconds", r.usage.seconds},
                          {"characters", r.usage.characters},
                          {"searches", r.usage.searches},
                          {"attempts", r.attempts},
                          {"refused_limit", view(limit.name)},
                          {"refused_scope", limit.scope},
                          {"cache_write_1h_tokens", r.usage.cache_write_1h_tokens},
                          {"price_tier", tier_name(r.price_tier)},
                          {"upstream_cost_micros", known(r.upstream_cost_micros)}};
  append_on_one_line(into, json::serialize(line));
}

absl::StatusOr<std::string> AuditExport::next(store::Store& store) {
  std::string text;
  if (state_ == State::kEnd) return text;
  if (state_ == State::kStart && format_ == ExportFormat::kCsv) append_csv_head(text);
  const auto page = store.audit(filter_, place_, kPage);
  if (!page.ok()) return page.status();
  for (const journal::AuditRecord& record : page->records)
    format_ == ExportFormat::kCsv ? append_csv(text, record) : append_jsonl(text, record);
  place_ = page->end;
  state_ = page->records.size() < kPage ? State::kEnd : State::kRunning;
  return text;
}

}  // namespace sluice::admin
