// The OpenAI dialect, as the rest of the gateway knows it.
#pragma once

#include "dialect/dialect.h"

namespace sluice::openai {

class OpenAi final : public dialect::Dialect {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "openai"; }
  [[nodiscard]] std::span<const dialect::Endpoint> endpoints() const noexcept override;
  [[nodiscard]] dialect::Alias alias_of(std::string_view path, std::span<char> scratch) const noexcept override;
  [[nodiscard]] const char* advice_for(std::string_view path) const noexcept override;
  [[nodiscard]] std::string_view mark_of_clients() const noexcept override { return {}; }

  [[nodiscard]] Result<dialect::CallBody> read_call(const dialect::Endpoint& endpoint, std::string_view body,
                                                    wire::Parser& parser) const noexcept override;
  [[nodiscard]] Result<dialect::CallBody> read_form(const dialect::Endpoint& endpoint, std::string_view content_type,
                                                    std::string_view body) const noexcept override;
  [[nodiscard]] Status append_edited_upload(Buffer& out, const dialect::CallBody& call, std::string_view body,
                                            const dialect::LineEdits& edits) const override;
  void edit_body(const dialect::Endpoint& endpoint, const dialect::CallBody& call, std::string_view body,
                 const dialect::Edits& edits, dialect::EditedBody& into) const override;

  [[nodiscard]] std::string_view cap_member(const dialect::Endpoint& endpoint, CapMember which) const noexcept override;
  [[nodiscard]] std::string_view other_cap_member(const dialect::Endpoint& endpoint,
                                                  std::string_view name) const noexcept override;
  [[nodiscard]] std::string_view usage_member() const noexcept override { return "stream_options"; }
  [[nodiscard]] bool refuses_member(std::string_view body, std::string_view member) const override;

  [[nodiscard]] std::unique_ptr<dialect::EventFilter> filter(const dialect::Endpoint& endpoint,
                                                             const dialect::FilterOptions& options) const override;
  [[nodiscard]] std::unique_ptr<dialect::WholeAnswer> walk(const dialect::Endpoint& endpoint) const override;
  [[nodiscard]] std::unique_ptr<dialect::Assembly> assembly(const dialect::Endpoint& endpoint) const override;
  [[nodiscard]] dialect::Converted append_as_events(Buffer& out, const dialect::Endpoint& endpoint,
                                                    std::string_view answer) const override;
  [[nodiscard]] std::optional<dialect::UsageReading> told_in_batch(std::string_view line,
                                                                   wire::Parser& parser) const override;
  // A comment: SDKs of this dialect pass it by.
  [[nodiscard]] std::string_view ping() const noexcept override { return ": ping\n\n"; }

  [[nodiscard]] dialect::ErrorAnswer error_answer(const Error& error, std::string_view message,
                                                  RefusalKind why) const override;
  [[nodiscard]] dialect::ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type,
                                                     std::string_view body) const override;
  [[nodiscard]] std::optional<dialect::ErrorAnswer> error_in_answer(std::string_view body) const override;
  [[nodiscard]] WipedString error_event(const dialect::ErrorAnswer& answer) const override;
  [[nodiscard]] std::string_view request_id_header() const noexcept override { return {}; }
  void add_request_id(dialect::ErrorAnswer&, std::string_view) const override {}

  void append_model(std::string& into, const dialect::ListedModel& model) const override;
  void append_models(std::string& into, std::span<const dialect::ListedModel> models) const override;
  void append_files(std::string& into, std::span<const dialect::ListedFile> files, dialect::ListEnd end) const override;
  void append_count(std::string&, std::uint64_t) const override {}  // no endpoint of it counts
};

}  // namespace sluice::openai
