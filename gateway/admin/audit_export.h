// Audit records as text, page by page: CSV for spreadsheets, JSON lines for programs.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

#include "store/store.h"

namespace sluice::admin {

enum class ExportFormat : std::uint8_t { kCsv, kJsonl };
[[nodiscard]] std::optional<ExportFormat> parse_export_format(std::string_view text) noexcept;

// Quotes a CSV field (RFC 4180) where it must be, and defuses one that a spreadsheet would take for a formula: names
// and labels come from people, and =, +, -, @, tab or CR at the front runs code in Excel. Such a field gets a ' in
// front.
void append_csv_field(std::string& into, std::string_view field);

void append_csv_head(std::string& into);
void append_csv(std::string& into, const journal::AuditRecord& record);
void append_jsonl(std::string& into, const journal::AuditRecord& record);

// Thread: whichever holds the store. Each next() is one short read, so that a slow receiver holds no transaction open.
class AuditExport final {
 public:
  AuditExport(store::AuditFilter filter, ExportFormat format) : filter_(std::move(filter)), format_(format) {}
  // The next part of the text; empty: it is complete.
  absl::StatusOr<std::string> next(store::Store& store);

 private:
  static constexpr std::size_t kPage = 500;
  store::AuditFilter filter_;
  ExportFormat format_;
  store::AuditPlace place_;
  enum class State : std::uint8_t { kStart, kRunning, kEnd } state_ = State::kStart;
};

}  // namespace sluice::admin
