// Anthropic's dialect, as the rest of the gateway knows it.
#pragma once

#include "dialect/dialect.h"

namespace sluice::anthropic {

class Anthropic final : public dialect::Dialect {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "anthropic"; }
  [[nodiscard]] std::span<const dialect::Endpoint> endpoints() const noexcept override;
  [[nodiscard]] const char* advice_for(std::string_view path) const noexcept override;
  [[nodiscard]] const char* advice_to_clients(std::string_view path) const noexcept override;
  // The API requires it.
  [[nodiscard]] std::string_view mark_of_clients() const noexcept override { return "anthropic-version"; }

  [[nodiscard]] Result<dialect::CallBody> read_call(const dialect::Endpoint& endpoint, std::string_view body,
                                                    wire::Parser& parser) const noexcept override;
  void edit_body(const dialect::Endpoint& endpoint, const dialect::CallBody& call, std::string_view body,
                 const dialect::Edits& edits, dialect::EditedBody& into) const override;

  // Nothing is ever added to a call: its cap has one name and every call has it, and streams tell their usage unasked.
  [[nodiscard]] std::string_view cap_member(const dialect::Endpoint& endpoint, CapMember which) const noexcept override;
  [[nodiscard]] std::string_view other_cap_member(const dialect::Endpoint& endpoint,
                                                  std::string_view name) const noexcept override;
  [[nodiscard]] std::string_view usage_member() const noexcept override { return {}; }
  [[nodiscard]] bool refuses_member(std::string_view body, std::string_view member) const override;

  [[nodiscard]] std::unique_ptr<dialect::EventFilter> filter(const dialect::Endpoint& endpoint,
                                                             const dialect::FilterOptions& options) const override;
  [[nodiscard]] std::unique_ptr<dialect::WholeAnswer> walk(const dialect::Endpoint& endpoint) const override;
  [[nodiscard]] std::unique_ptr<dialect::Assembly> assembly(const dialect::Endpoint& endpoint) const override;
  [[nodiscard]] dialect::Converted append_as_events(Buffer& out, const dialect::Endpoint& endpoint,
                                                    std::string_view answer) const override;
  // The API's own event: SDKs of this dialect pass it by.
  [[nodiscard]] std::string_view ping() const noexcept override {
    return "event: ping\ndata: {\"type\": \"ping\"}\n\n";
  }

  [[nodiscard]] dialect::ErrorAnswer error_answer(const Error& error, std::string_view message,
                                                  RefusalKind why) const override;
  [[nodiscard]] dialect::ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type,
                                                     std::string_view body) const override;
  [[nodiscard]] std::optional<dialect::ErrorAnswer> error_in_answer(std::string_view body) const override;
  [[nodiscard]] WipedString error_event(const dialect::ErrorAnswer& answer) const override;
  [[nodiscard]] std::string_view request_id_header() const noexcept override { return "request-id"; }
  void add_request_id(dialect::ErrorAnswer& answer, std::string_view request_id) const override;

  void append_model(std::string& into, const dialect::ListedModel& model) const override;
  void append_models(std::string& into, std::span<const dialect::ListedModel> models) const override;
  void append_count(std::string& into, std::uint64_t tokens) const override {
    into.append(R"({"input_tokens":)").append(std::to_string(tokens)).push_back('}');
  }
};

}  // namespace sluice::anthropic
