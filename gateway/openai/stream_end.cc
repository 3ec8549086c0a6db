// How a stream ends: as the upstream ended it, or cleanly by our own hand.
#include <charconv>

#include "openai/stream_filter.h"

namespace sluice::openai {
namespace {

void append_number(Buffer& out, std::uint64_t number) {
  char digits[20];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out.append({digits, static_cast<std::size_t>(written.ptr - digits)});
}

void append_or(Buffer& out, std::string_view value, std::string_view otherwise) {
  out.append(value.empty() ? otherwise : value);
}

// "prompt_tokens":…,"completion_tokens":…,"total_tokens":…
void append_counts(Buffer& out, const Usage& usage, std::string_view prompt, std::string_view completion) {
  out.append("\"");
  out.append(prompt);
  out.append("\":");
  append_number(out, usage.prompt_tokens);
  out.append(",\"");
  out.append(completion);
  out.append("\":");
  append_number(out, usage.completion_tokens);
  out.append(",\"total_tokens\":");
  append_number(out, usage.total());
}

}  // namespace

StreamState StreamFilter::finish(Buffer& out) noexcept {
  StreamProgress& state = progress_;
  if (state.state == StreamState::kError || state.state == StreamState::kBroken) return state.state;
  if (api_of(state.endpoint) == Api::kResponse)
    return state.state = state.terminal_seen ? StreamState::kDone : StreamState::kBroken;
  if (state.makes() && state.made != 0 && !state.done_seen) return state.state = StreamState::kDone;
  if (!state.done_seen && !state.choices.all_ended()) return state.state = StreamState::kBroken;
  // Told, but not in a chunk that could be handed on.
  if (state.options.client_wants_usage && state.held_usage.empty() && state.usage) state.make_own_usage();
  state.append_held_usage(out);
  out.append("data: [DONE]\n\n");
  return state.state = StreamState::kDone;
}

void StreamFilter::cut(Buffer& out) noexcept {
  StreamProgress& state = progress_;
  if (state.state != StreamState::kOpen) return;
  state.state = StreamState::kDone;
  if (api_of(state.endpoint) == Api::kResponse) {
    state.append_incomplete_response(out);
    state.terminal_seen = true;
    return;
  }
  for (std::size_t index = 0; !state.makes() && index < state.choices.size(); ++index) {
    if (!state.choices.ended(index)) state.append_choice_end(index, out);
  }
  if (state.options.client_wants_usage) {
    if (state.held_usage.empty()) state.make_own_usage();
    state.append_held_usage(out);
  }
  out.append("data: [DONE]\n\n");
}

void StreamProgress::append_held_usage(Buffer& out) {
  if (held_usage.empty()) return;
  wire::append_event(out, {}, held_usage.view());
  ++events;
  held_usage.clear();
}

void StreamProgress::append_choice_end(std::size_t index, Buffer& out) {
  const bool chat = api_of(endpoint) == Api::kChat;
  edited.clear();
  edited.append("{\"id\":");
  append_or(edited, id, "\"cut\"");
  edited.append(chat ? ",\"object\":\"chat.completion.chunk\",\"created\":"
                     : ",\"object\":\"text_completion\",\"created\":");
  append_or(edited, created, "0");
  edited.append(",\"model\":");
  append_or(edited, model_value, "\"\"");
  edited.append(",\"choices\":[{\"index\":");
  append_number(edited, index);
  edited.append(chat ? ",\"delta\":{}" : ",\"text\":\"\"");
  edited.append(",\"logprobs\":null,\"finish_reason\":\"length\"}]");
  edited.append(options.client_wants_usage ? ",\"usage\":null}" : "}");
  pass({}, edited.view(), out);
}

void StreamProgress::make_own_usage() {
  held_usage.append("{\"id\":");
  append_or(held_usage, id, "\"cut\"");
  held_usage.append(api_of(endpoint) == Api::kChat ? ",\"object\":\"chat.completion.chunk\",\"created\":"
                                                   : ",\"object\":\"text_completion\",\"created\":");
  append_or(held_usage, created, "0");
  held_usage.append(",\"model\":");
  append_or(held_usage, model_value, "\"\"");
  held_usage.append(",\"choices\":[],\"usage\":{");
  const Usage counts = estimate(options.prompt_estimate);
  append_counts(held_usage, counts, "prompt_tokens", "completion_tokens");
  if (counts.cached_tokens != 0) {
    held_usage.append(",\"prompt_tokens_details\":{\"cached_tokens\":");
    append_number(held_usage, counts.cached_tokens);
    held_usage.append("}");
  }
  held_usage.append("}}");
}

void StreamProgress::append_incomplete_response(Buffer& out) {
  edited.clear();
  edited.append("{\"type\":\"response.incomplete\",\"sequence_number\":");
  append_number(edited, sequence_number);
  edited.append(",\"response\":{\"id\":");
  append_or(edited, id, "\"resp_cut\"");
  edited.append(",\"object\":\"response\",\"created_at\":");
  append_or(edited, created, "0");
  edited.append(
      ",\"status\":\"incomplete\",\"error\":null,\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"model\":");
  append_or(edited, model_value, "\"\"");
  edited.append(",\"output\":[],\"usage\":{");
  append_counts(edited, estimate(options.prompt_estimate), "input_tokens", "output_tokens");
  edited.append(
      ",\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens_details\":{\"reasoning_tokens\":0}}}}");
  pass("response.incomplete", edited.view(), out);
}

}  // namespace sluice::openai
