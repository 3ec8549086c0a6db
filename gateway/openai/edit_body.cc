// edit_body(): a body as splices.
//
//   {"model":"m","stream":true,"max_tokens":9}      original
//    ^ inserted behind '{'    ^ value replaced
//   parts: [{] [scratch: "stream_options":{…},] ["model":"m",…"max_tokens":] [scratch: 5] [}]

#include <algorithm>
#include <charconv>

#include "openai/call_reader.h"
#include "wire/json_text.h"

namespace sluice::openai {
namespace {

// `length` bytes of the body at `offset` give way to scratch[begin, end).
struct Splice {
  std::size_t offset = 0;
  std::size_t length = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

class Splicer final {
 public:
  Splicer(const CallBody& call, const Edits& edits, WipedString& scratch) noexcept
      : call_(call), edits_(edits), scratch_(scratch) {}

  void collect(const Endpoint& endpoint) {
    insert_members(endpoint);
    if (!edits_.model.empty()) {
      const std::size_t begin = scratch_.size();
      scratch_ += '"';
      wire::append_escaped(scratch_, edits_.model);
      scratch_ += '"';
      add(call_.model_member, begin);
    }
    if (!edits_.prompt_cache_key.empty() && call_.cache_key_member.present()) {
      const std::size_t begin = scratch_.size();
      wire::append_json_string(scratch_, edits_.prompt_cache_key);
      add(call_.cache_key_member, begin);
    }
    if (edits_.ask_for_usage && endpoint.asks_for_usage) edit_stream_options();
    if (edits_.clamp_output_to) clamp_caps(*edits_.clamp_output_to);
    sort_by_offset();
  }

  void write(std::string_view body, EditedBody& into) const noexcept {
    into.count = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Splice& splice = splices_[i];
      add_part(into, body.substr(at, splice.offset - at));
      add_part(into, std::string_view(scratch_).substr(splice.begin, splice.end - splice.begin));
      at = splice.offset + splice.length;
    }
    add_part(into, body.substr(at));
  }

 private:
  static void add_part(EditedBody& into, std::string_view part) noexcept {
    if (!part.empty()) into.parts[into.count++] = part;
  }

  // By insertion: there are a handful at most, and std::sort's part for more than 16 draws a warning where it is
  // inlined.
  void sort_by_offset() noexcept {
    for (std::size_t i = 1; i < count_; ++i) {
      const Splice splice = splices_[i];
      std::size_t at = i;
      for (; at > 0 && splices_[at - 1].offset > splice.offset; --at) splices_[at] = splices_[at - 1];
      splices_[at] = splice;
    }
  }

  void add(const Member& replaced, std::size_t begin) noexcept {
    splices_[count_++] = {replaced.offset, replaced.length, begin, scratch_.size()};
  }

  void append_number(std::uint64_t number) {
    char digits[20];
    const auto written = std::to_chars(digits, digits + sizeof digits, number);
    scratch_.append(digits, written.ptr);
  }

  // What is absent goes in behind the opening brace.
  void insert_members(const Endpoint& endpoint) {
    const std::size_t begin = scratch_.size();
    if (edits_.ask_for_usage && endpoint.asks_for_usage && !call_.own[kStreamOptions].present())
      scratch_ += "\"stream_options\":{\"include_usage\":true},";
    if (edits_.clamp_output_to && call_.cap_count == 0) {
      scratch_ += '"';
      scratch_ += cap_member(api_of(endpoint), edits_.cap_member);
      scratch_ += "\":";
      append_number(*edits_.clamp_output_to);
      scratch_ += ',';
    }
    if (scratch_.size() == begin) return;
    if (call_.object_empty) scratch_.pop_back();
    add({call_.object_begin + 1, 0}, begin);
  }

  void edit_stream_options() {
    const std::size_t begin = scratch_.size();
    if (call_.own[kIncludeUsage].present()) {
      if (call_.wants_usage) return;
      scratch_ += "true";
      add(call_.own[kIncludeUsage], begin);
    } else if ((call_.own_marks & kStreamOptionsNull) != 0) {
      scratch_ += "{\"include_usage\":true}";
      add(call_.own[kStreamOptions], begin);
    } else if (call_.own[kStreamOptions].present()) {
      scratch_ += (call_.own_marks & kStreamOptionsEmpty) != 0 ? "\"include_usage\":true" : "\"include_usage\":true,";
      add({call_.own[kStreamOptions].offset + 1, 0}, begin);
    }
  }

  void clamp_caps(std::uint64_t most) {
    for (std::size_t i = 0; i < call_.cap_count; ++i) {
      const OutputCap& cap = call_.caps[i];
      if (cap.value && *cap.value <= most) continue;
      const std::size_t begin = scratch_.size();
      append_number(most);
      add(cap.member, begin);
    }
  }

  const CallBody& call_;
  const Edits& edits_;
  WipedString& scratch_;
  std::array<Splice, 7> splices_{};  // behind '{', model, prompt_cache_key, stream_options, three caps
  std::size_t count_ = 0;
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
