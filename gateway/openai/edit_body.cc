// edit_body(): what this dialect changes in a body.
#include "dialect/splices.h"
#include "openai/call_reader.h"
#include "wire/json_text.h"

namespace sluice::openai {
namespace {

class Splicer final {
 public:
  Splicer(const CallBody& call, const Edits& edits, WipedString& scratch) noexcept
      : call_(call), edits_(edits), scratch_(scratch), splices_(scratch) {}

  void collect(const Endpoint& endpoint) {
    insert_members(endpoint);
    splices_.cut_labels(call_);
    splices_.rename_model(call_, edits_.model);
    if (!edits_.prompt_cache_key.empty() && call_.cache_key_member.present()) {
      const std::size_t begin = scratch_.size();
      wire::append_json_string(scratch_, edits_.prompt_cache_key);
      splices_.add(call_.cache_key_member, begin);
    }
    if (edits_.ask_for_usage && endpoint.asks_for_usage) edit_stream_options();
    if (edits_.clamp_output_to) splices_.clamp_caps(call_, *edits_.clamp_output_to);
  }

  void write(std::string_view body, EditedBody& into) noexcept { splices_.write(body, into); }

 private:
  // What is absent goes in behind the opening brace.
  void insert_members(const Endpoint& endpoint) {
    const std::size_t begin = scratch_.size();
    if (edits_.ask_for_usage && endpoint.asks_for_usage && !call_.own[kStreamOptions].present())
      scratch_ += "\"stream_options\":{\"include_usage\":true},";
    if (!edits_.model.empty() && !call_.model_member.present()) {
      scratch_ += "\"model\":";
      wire::append_json_string(scratch_, edits_.model);
      scratch_ += ',';
    }
    if (edits_.clamp_output_to && call_.cap_count == 0) {
      scratch_ += '"';
      scratch_ += cap_member(api_of(endpoint), edits_.cap_member);
      scratch_ += "\":";
      splices_.append_number(*edits_.clamp_output_to);
      scratch_ += ',';
    }
    if (scratch_.size() == begin) return;
    if (call_.object_empty) scratch_.pop_back();
    splices_.add({call_.object_begin + 1, 0}, begin);
  }

  void edit_stream_options() {
    const std::size_t begin = scratch_.size();
    if (call_.own[kIncludeUsage].present()) {
      if (call_.wants_usage) return;
      scratch_ += "true";
      splices_.add(call_.own[kIncludeUsage], begin);
    } else if ((call_.own_marks & kStreamOptionsNull) != 0) {
      scratch_ += "{\"include_usage\":true}";
      splices_.add(call_.own[kStreamOptions], begin);
    } else if (call_.own[kStreamOptions].present()) {
      scratch_ += (call_.own_marks & kStreamOptionsEmpty) != 0 ? "\"include_usage\":true" : "\"include_usage\":true,";
      splices_.add({call_.own[kStreamOptions].offset + 1, 0}, begin);
    }
  }

  const CallBody& call_;
  const Edits& edits_;
  WipedString& scratch_;
  dialect::Splices splices_;  // behind '{', _meta, model, prompt_cache_key, stream_options, three caps
};

}  // namespace

std::string_view cap_member(Api api, std::string_view of_chats) noexcept {
  switch (api) {
    case Api::kChat:
      return of_chats.empty() ? kMaxCompletionTokens : of_chats;
    case Api::kResponse:
      return "max_output_tokens";
    default:
      return kMaxTokens;
  }
}

void edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits,
               EditedBody& into) {
  into.scratch.clear();
  Splicer splicer(call, edits, into.scratch);
  splicer.collect(endpoint);
  splicer.write(body, into);
}

}  // namespace sluice::openai
