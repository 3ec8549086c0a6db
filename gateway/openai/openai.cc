#include "openai/openai.h"

#include "openai/answer_events.h"
#include "openai/answer_walk.h"
#include "openai/assembled_answer.h"
#include "openai/azure_path.h"
#include "openai/batch_lines.h"
#include "openai/call_reader.h"
#include "openai/error_body.h"
#include "openai/form_reader.h"
#include "openai/refused_member.h"
#include "openai/stream_filter.h"
#include "wire/json_text.h"

namespace sluice::openai {

std::span<const Endpoint> OpenAi::endpoints() const noexcept { return openai::endpoints(); }
dialect::Alias OpenAi::alias_of(std::string_view path, std::span<char> scratch) const noexcept {
  return azure_alias(path, scratch);
}
const char* OpenAi::advice_for(std::string_view path) const noexcept { return openai::advice_for(path); }

Result<CallBody> OpenAi::read_call(const Endpoint& endpoint, std::string_view body,
                                   wire::Parser& parser) const noexcept {
  return openai::read_call(endpoint, body, parser);
}

Result<CallBody> OpenAi::read_form(const Endpoint& endpoint, std::string_view content_type,
                                   std::string_view body) const noexcept {
  return openai::read_form(endpoint, content_type, body);
}

Status OpenAi::append_edited_upload(Buffer& out, const CallBody& call, std::string_view body,
                                    const dialect::LineEdits& edits) const {
  return openai::append_edited_upload(out, call, body, edits);
}

void OpenAi::edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits,
                       EditedBody& into) const {
  if (endpoint.body == dialect::BodyKind::kMultipart) return edit_form(call, body, edits, into);
  openai::edit_body(endpoint, call, body, edits, into);
}

std::string_view OpenAi::cap_member(const Endpoint& endpoint, CapMember which) const noexcept {
  std::string_view of_chats;
  if (which == CapMember::kMaxTokens) of_chats = kMaxTokens;
  if (which == CapMember::kMaxCompletionTokens) of_chats = kMaxCompletionTokens;
  return openai::cap_member(api_of(endpoint), of_chats);
}

// Chats alone have two names for it.
std::string_view OpenAi::other_cap_member(const Endpoint& endpoint, std::string_view name) const noexcept {
  if (api_of(endpoint) != Api::kChat) return {};
  return name == kMaxTokens ? kMaxCompletionTokens : kMaxTokens;
}

bool OpenAi::refuses_member(std::string_view body, std::string_view member) const {
  return openai::refuses_member(body, member == usage_member() ? AddedMember::kUsageInStream : added_cap(member));
}

std::unique_ptr<dialect::EventFilter> OpenAi::filter(const Endpoint& endpoint,
                                                     const dialect::FilterOptions& options) const {
  return std::make_unique<StreamFilter>(endpoint, options);
}

std::unique_ptr<dialect::WholeAnswer> OpenAi::walk(const Endpoint& endpoint) const {
  return std::make_unique<AnswerWalk>(endpoint);
}

std::unique_ptr<dialect::Assembly> OpenAi::assembly(const Endpoint& endpoint) const {
  return std::make_unique<AssembledAnswer>(endpoint);
}

std::optional<dialect::UsageReading> OpenAi::told_in_batch(std::string_view line, wire::Parser& parser) const {
  return openai::told_in_batch(line, parser);
}

Converted OpenAi::append_as_events(Buffer& out, const Endpoint& endpoint, std::string_view answer) const {
  return openai::append_as_events(out, endpoint, answer);
}

ErrorAnswer OpenAi::error_answer(const Error& error, std::string_view message, RefusalKind why) const {
  return openai::error_answer(error, message, why);
}

ErrorAnswer OpenAi::upstream_answer(std::uint16_t status, std::string_view content_type, std::string_view body) const {
  return openai::upstream_answer(status, content_type, body);
}

std::optional<ErrorAnswer> OpenAi::error_in_answer(std::string_view body) const {
  return openai::error_in_answer(body);
}

WipedString OpenAi::error_event(const ErrorAnswer& answer) const { return openai::error_event(answer); }

// The context's length under both names that clients look for (vLLM's, OpenRouter's), where a server says it.
void OpenAi::append_model(std::string& into, const dialect::ListedModel& model) const {
  into.append(R"({"id":)");
  wire::append_json_string(into, model.name);
  into.append(R"(,"object":"model","created":)").append(std::to_string(model.created));
  into.append(R"(,"owned_by":"sluice")");
  if (model.context_tokens != 0) {
    const std::string tokens = std::to_string(model.context_tokens);
    into.append(R"(,"max_model_len":)").append(tokens).append(R"(,"context_length":)").append(tokens);
  }
  into.push_back('}');
}

void OpenAi::append_models(std::string& into, std::span<const dialect::ListedModel> models) const {
  into.append(R"({"object":"list","data":[)");
  for (const dialect::ListedModel& model : models) {
    if (into.back() == '}') into.push_back(',');
    append_model(into, model);
  }
  into.append("]}");
}

// A file's name is not known here: it is the caller's text, and stays with the model server.
void OpenAi::append_files(std::string& into, std::span<const dialect::ListedFile> files, dialect::ListEnd end) const {
  into.append(R"({"object":"list","data":[)");
  for (const dialect::ListedFile& file : files) {
    if (into.back() == '}') into.push_back(',');
    into.append(R"({"id":)");
    wire::append_json_string(into, file.id);
    into.append(R"(,"object":"file","bytes":)").append(std::to_string(file.bytes));
    into.append(R"(,"created_at":)").append(std::to_string(file.created));
    into.append(R"(,"filename":"","purpose":)");
    wire::append_json_string(into, file.purpose);
    into.append(R"(,"status":"uploaded"})");
  }
  into.append(R"(],"first_id":)");
  const auto append_id = [&](const dialect::ListedFile* file) {
    if (file == nullptr)
      into.append("null");
    else
      wire::append_json_string(into, file->id);
  };
  append_id(files.empty() ? nullptr : &files.front());
  into.append(R"(,"last_id":)");
  append_id(files.empty() ? nullptr : &files.back());
  into.append(end == dialect::ListEnd::kMore ? R"(,"has_more":true})" : R"(,"has_more":false})");
}

}  // namespace sluice::openai
