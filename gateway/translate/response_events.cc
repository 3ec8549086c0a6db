// ResponseStream: the events of items and their parts as they begin and end, and those of the response itself.
#include <array>

#include "dialect/upstream_error.h"
#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "translate/response_stream.h"

namespace sluice::translate {
namespace {

// What says more of an item. Custom tools and shells have their input in one piece: it is inside of the JSON that comes.
std::string_view delta_type(const OutputItem& item, bool refusing) noexcept {
  if (item.kind == ItemKind::kReasoning) return "response.reasoning_summary_text.delta";
  if (item.kind == ItemKind::kMessage) return refusing ? "response.refusal.delta" : "response.output_text.delta";
  return item.tool.kind == ToolKind::kFunction ? "response.function_call_arguments.delta" : "";
}

}  // namespace

// --- the response ---

void ResponseStream::begin(std::string_view created, Buffer& out) {
  begun_ = true;
  created_ = created;
  for (const std::string_view type : {"response.created", "response.in_progress"})
    append_response_event(type, {.created = created_}, out);
}

void ResponseStream::append_response_event(std::string_view type, const ResponseObject& response, Buffer& out) {
  begin_event(type, out);
  append_named(out, "response");
  append_response(out, response, facts_);
  out.append("}\n\n");
}

void ResponseStream::finish(Buffer& out) noexcept {
  if (ended_) return;
  if (!begun_) begin({}, out);
  const ResponseStatus status = response_status_of(finish_reason_);
  if (!white_.empty() && (items_.empty() || items_.back().kind == ItemKind::kReasoning)) {
    const std::size_t position = open_said(ItemKind::kMessage, {}, out);
    items_[position].has_text = true;
    open_part(position, out);
    append_piece(position, white_, {}, out);
  }
  if (said_ != kNone) close_said(status_at_end(said_, status), out);
  for (std::size_t at = 0; at < items_.size(); ++at) {
    if (items_[at].kind == ItemKind::kCall) close_call(at, status_at_end(at, status), out);
  }
  ended_ = true;
  append_response_event(
      status == ResponseStatus::kCompleted ? "response.completed" : "response.incomplete",
      {.status = status, .created = created_, .output = items_, .usage = usage_ ? *usage_ : own_usage(items_, facts_)},
      out);
}

ItemStatus ResponseStream::status_at_end(std::size_t position, ResponseStatus status) const noexcept {
  return position + 1 == items_.size() ? last_item_status(status) : ItemStatus::kCompleted;
}

void ResponseStream::fail(std::string_view, std::string_view error, Buffer& out) noexcept {
  if (ended_) return;
  if (!begun_) begin({}, out);
  end_failed(error, out);
}

// Codex and others look for response.failed, and OpenAI's SDKs raise at what has an `error`.
void ResponseStream::end_failed(std::string_view data, Buffer& out) {
  ended_ = true;
  const dialect::UpstreamError error = dialect::read_error(data);
  const std::string_view code = error.code.empty() ? std::string_view("server_error") : std::string_view(error.code);
  Buffer object;
  object.append(R"({"code":)");
  append_string(object, code);
  append_named(object, "message");
  append_string(object, error.message);
  object.append("}");
  append_response_event(
      "response.failed",
      {.status = ResponseStatus::kFailed, .created = created_, .output = items_, .error = object.view()}, out);
  begin_event("error", out);
  append_named(out, "code");
  append_string(out, code);
  append_named(out, "message");
  append_string(out, error.message);
  out.append(R"(,"param":null)");
  append_named(out, "error", wire::skim_find(data, "error"));
  out.append("}\n\n");
}

// --- items ---

std::size_t ResponseStream::open(OutputItem&& item, Buffer& out) {
  repeated_.position = kNone;
  const std::size_t position = items_.size();
  held_bytes_ += item.held_bytes();
  items_.push_back(std::move(item));
  append_whole_item("response.output_item.added", position, ItemStatus::kInProgress, out);
  return position;
}

std::size_t ResponseStream::open_said(ItemKind kind, std::string_view member, Buffer& out) {
  if (said_ != kNone && items_[said_].kind == kind) return said_;
  close_said(ItemStatus::kCompleted, out);
  OutputItem item;
  item.kind = kind;
  item.member = member;
  said_ = open(std::move(item), out);
  if (kind == ItemKind::kReasoning) open_part(said_, out);
  return said_;
}

void ResponseStream::open_part(std::size_t position, Buffer& out) {
  repeated_.position = kNone;
  const bool reasoning = items_[position].kind == ItemKind::kReasoning;
  begin_item_event(reasoning ? "response.reasoning_summary_part.added" : "response.content_part.added", position, out);
  append_part_of(position, out);
  out.append("}\n\n");
}

// ,"part":{…}: of reasoning and messages, as it stands.
void ResponseStream::append_part_of(std::size_t position, Buffer& out) const {
  const OutputItem& item = items_[position];
  append_named(out, "part");
  if (item.kind == ItemKind::kReasoning) {
    out.append(R"({"type":"summary_text","text":)");
    append_quoted(out, item.text);
    out.append("}");
  } else if (refusing_) {
    out.append(R"({"type":"refusal","refusal":)");
    append_quoted(out, item.refusal);
    out.append("}");
  } else {
    append_text_part(out, item.text, item.logprobs);
  }
}

void ResponseStream::append_piece(std::size_t position, std::string_view inside, std::string_view logprobs,
                                  Buffer& out) {
  OutputItem& item = items_[position];
  (refusing_ && position == said_ ? item.refusal : item.text).append(inside);
  held_bytes_ += inside.size() + logprobs.size();
  if (!logprobs.empty()) item.logprobs.append(item.logprobs.empty() ? "" : ",").append(logprobs);
  const std::string_view type = delta_type(item, refusing_);
  if (type.empty()) return;
  const std::size_t begin = out.size();
  begin_item_event(type, position, out);
  if (type == "response.output_text.delta") {
    append_named(out, "logprobs", "[");
    out.append(logprobs);
    out.append("]");
  }
  append_named(out, "delta", "\"");
  piece_.inside = inside;
  piece_.position = position;
  piece_.text_at = out.size() - begin;
  out.append(inside);
  out.append("\"}\n\n");
}

void ResponseStream::close_said(ItemStatus status, Buffer& out) {
  if (said_ == kNone) return;
  repeated_.position = kNone;
  close_part(said_, out);
  append_whole_item("response.output_item.done", said_, status, out);
  said_ = kNone;
  refusing_ = false;
}

void ResponseStream::close_part(std::size_t position, Buffer& out) {
  const OutputItem& item = items_[position];
  repeated_.position = kNone;
  if (item.kind == ItemKind::kReasoning) {
    begin_item_event("response.reasoning_summary_text.done", position, out);
    append_named(out, "text");
    append_quoted(out, item.text);
  } else if (refusing_) {
    begin_item_event("response.refusal.done", position, out);
    append_named(out, "refusal");
    append_quoted(out, item.refusal);
  } else {
    begin_item_event("response.output_text.done", position, out);
    append_named(out, "text");
    append_quoted(out, item.text);
    append_named(out, "logprobs", "[");
    out.append(item.logprobs);
    out.append("]");
  }
  out.append("}\n\n");
  const bool reasoning = item.kind == ItemKind::kReasoning;
  begin_item_event(reasoning ? "response.reasoning_summary_part.done" : "response.content_part.done", position, out);
  append_part_of(position, out);
  out.append("}\n\n");
}

void ResponseStream::close_call(std::size_t position, ItemStatus status, Buffer& out) {
  OutputItem& item = items_[position];
  if (item.text.empty()) item.text = "{}";  // what no arguments are to nearly everybody
  if (item.tool.kind == ToolKind::kFunction) {
    begin_item_event("response.function_call_arguments.done", position, out);
    append_named(out, "name");
    append_string(out, item.tool.name);
    append_named(out, "arguments");
    append_quoted(out, item.text);
    out.append("}\n\n");
  } else if (item.tool.kind == ToolKind::kCustom) {
    begin_item_event("response.custom_tool_call_input.delta", position, out);
    append_named(out, "delta");
    append_text_input(out, item.text);
    out.append("}\n\n");
    begin_item_event("response.custom_tool_call_input.done", position, out);
    append_named(out, "input");
    append_text_input(out, item.text);
    out.append("}\n\n");
  }
  append_whole_item("response.output_item.done", position, status, out);
}

// --- events ---

void ResponseStream::begin_event(std::string_view type, Buffer& out) {
  const std::size_t begin = out.size();
  out.append("event: ");
  out.append(type);
  out.append("\ndata: {\"type\":\"");
  out.append(type);
  out.append("\",\"sequence_number\":");
  piece_.number_at = out.size() - begin;
  append_number(out, sequence_++);
  piece_.behind_number = out.size() - begin;
}

void ResponseStream::begin_item_event(std::string_view type, std::size_t position, Buffer& out) {
  begin_event(type, out);
  const OutputItem& item = items_[position];
  append_named(out, "item_id");
  append_item_id(out, item, position, facts_);
  append_named(out, "output_index");
  append_number(out, position);
  if (item.kind == ItemKind::kReasoning) append_named(out, "summary_index", "0");
  if (item.kind == ItemKind::kMessage) append_named(out, "content_index", refusing_ && item.has_text ? "1" : "0");
}

void ResponseStream::append_whole_item(std::string_view type, std::size_t position, ItemStatus status, Buffer& out) {
  begin_event(type, out);
  append_named(out, "output_index");
  append_number(out, position);
  append_named(out, "item");
  append_item(out, items_[position], position, facts_, status);
  out.append("}\n\n");
}

}  // namespace sluice::translate
