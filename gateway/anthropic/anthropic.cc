#include "anthropic/anthropic.h"

#include <ctime>

#include "anthropic/assembled_message.h"
#include "anthropic/call_reader.h"
#include "anthropic/error_body.h"
#include "anthropic/message_events.h"
#include "anthropic/message_walk.h"
#include "anthropic/stream_filter.h"
#include "wire/json_text.h"

namespace sluice::anthropic {

std::span<const Endpoint> Anthropic::endpoints() const noexcept { return anthropic::endpoints(); }
const char* Anthropic::advice_for(std::string_view path) const noexcept { return anthropic::advice_for(path); }
const char* Anthropic::advice_to_clients(std::string_view path) const noexcept {
  return anthropic::advice_to_clients(path);
}

Result<dialect::CallBody> Anthropic::read_call(const Endpoint& endpoint, std::string_view body,
                                               wire::Parser& parser) const noexcept {
  return anthropic::read_call(endpoint, body, parser);
}

void Anthropic::edit_body(const Endpoint& endpoint, const dialect::CallBody& call, std::string_view body,
                          const dialect::Edits& edits, dialect::EditedBody& into) const {
  (void)endpoint;
  anthropic::edit_body(call, body, edits, into);
}

std::string_view Anthropic::cap_member(const Endpoint& endpoint, CapMember which) const noexcept {
  (void)endpoint, (void)which;
  return kMaxTokens;
}

std::string_view Anthropic::other_cap_member(const Endpoint& endpoint, std::string_view name) const noexcept {
  (void)endpoint, (void)name;
  return {};
}

bool Anthropic::refuses_member(std::string_view body, std::string_view member) const {
  (void)body, (void)member;
  return false;
}

std::unique_ptr<dialect::EventFilter> Anthropic::filter(const Endpoint& endpoint,
                                                        const dialect::FilterOptions& options) const {
  (void)endpoint;
  return std::make_unique<StreamFilter>(options);
}

std::unique_ptr<dialect::WholeAnswer> Anthropic::walk(const Endpoint& endpoint) const {
  return std::make_unique<MessageWalk>(endpoint);
}

std::unique_ptr<dialect::Assembly> Anthropic::assembly(const Endpoint& endpoint) const {
  (void)endpoint;
  return std::make_unique<AssembledMessage>();
}

dialect::Converted Anthropic::append_as_events(Buffer& out, const Endpoint& endpoint, std::string_view answer) const {
  (void)endpoint;
  return anthropic::append_as_events(out, answer);
}

ErrorAnswer Anthropic::error_answer(const Error& error, std::string_view message, RefusalKind why) const {
  (void)why;  // one type says all limits and budgets; the words and x-sluice-limit-… say which
  return anthropic::error_answer(error, message);
}

ErrorAnswer Anthropic::upstream_answer(std::uint16_t status, std::string_view content_type,
                                       std::string_view body) const {
  (void)content_type;  // the bytes are asked instead
  return anthropic::upstream_answer(status, body);
}

std::optional<ErrorAnswer> Anthropic::error_in_answer(std::string_view body) const {
  return anthropic::error_in_answer(body);
}

WipedString Anthropic::error_event(const ErrorAnswer& answer) const { return anthropic::error_event(answer); }

void Anthropic::add_request_id(ErrorAnswer& answer, std::string_view request_id) const {
  anthropic::add_request_id(answer, request_id);
}

// The row of the list's path is another dialect's, which has the same; a client of this one is known by its mark.
void Anthropic::append_model(std::string& into, const dialect::ListedModel& model) const {
  into.append(R"({"type":"model","id":)");
  wire::append_json_string(into, model.name);
  into.append(R"(,"display_name":)");
  wire::append_json_string(into, model.name);
  char date[32];
  const auto seconds = static_cast<std::time_t>(model.created);  // 0, where it is not known, is what the API says then
  std::tm parts{};
  const bool told = gmtime_r(&seconds, &parts) != nullptr;
  const std::size_t size = told ? std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts) : 0;
  into.append(R"(,"created_at":)");
  wire::append_json_string(into, size == 0 ? std::string_view("1970-01-01T00:00:00Z") : std::string_view(date, size));
  if (model.context_tokens != 0) into.append(R"(,"max_input_tokens":)").append(std::to_string(model.context_tokens));
  into.push_back('}');
}

void Anthropic::append_models(std::string& into, std::span<const dialect::ListedModel> models) const {
  const auto append_id = [&](std::string_view name, const dialect::ListedModel* model) {
    into.append(",\"").append(name).append("\":");
    if (model == nullptr) {
      into.append("null");
    } else {
      wire::append_json_string(into, model->name);
    }
  };
  into.append(R"({"data":[)");
  for (const dialect::ListedModel& model : models) {
    if (into.back() == '}') into.push_back(',');
    append_model(into, model);
  }
  into.append(R"(],"has_more":false)");
  append_id("first_id", models.empty() ? nullptr : &models.front());
  append_id("last_id", models.empty() ? nullptr : &models.back());
  into.push_back('}');
}

}  // namespace sluice::anthropic
