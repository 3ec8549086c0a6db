// StreamFilter: bytes in, whole events out. Most events are looked at once (Skimmer) and copied once.
#include "openai/stream_filter.h"

#include <simdjson.h>

#include <algorithm>

#include "openai/error_body.h"
#include "openai/error_object.h"
#include "wire/json_text.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kDone = "[DONE]";
constexpr std::string_view kDataField = "data: ";
constexpr std::size_t kKeptScratchBytes = 64 * 1024;
constexpr std::size_t kHeadFieldBytes = 320;  // of id, created, model: what cut() will say again

bool is_terminal(std::string_view type) noexcept {
  return type == "response.completed" || type == "response.incomplete" || type == "response.failed";
}

std::string_view without_space(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

}  // namespace

StreamState StreamFilter::filter(Buffer& in, Buffer& out) noexcept {
  StreamProgress& state = progress_;
  std::string_view rest = in.view();
  wire::RawEvent raw;
  unsigned taken = 0;
  state.has_more = false;
  while (state.state == StreamState::kOpen && !state.has_more &&
         state.splitter.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
    state.has_more = ++taken == kEventsAtOnce;
    if (raw.text.size() > state.options.event_limit_bytes) {
      state.state = StreamState::kBroken;
    } else {
      state.take(wire::read_event(raw, state.joined), out);
    }
  }
  if (state.state == StreamState::kOpen && !state.has_more) state.take_rest(rest, out);
  if (state.state != StreamState::kOpen) {
    rest = {};  // what stands behind the end is nobody's
    state.has_more = false;
  }
  for (Buffer* scratch : {&state.joined, &state.edited, &state.repaired}) {
    if (scratch->capacity() > kKeptScratchBytes) scratch->release();
  }
  in.consume(in.size() - rest.size());
  return state.state;
}

void StreamProgress::take(const wire::SseEvent& event, Buffer& out) {
  if (event.stray_json) return take_error(event.data, out);
  if (event.name.empty()) {
    if (const std::optional<std::uint64_t> bytes = repeated.pass(event.data, out)) {
      note_text(*bytes);
      ++events;
      fruitless = 0;
      return;
    }
  }
  const std::string_view data = without_space(event.data);
  if (data.empty()) return;
  if (data.starts_with(kDone)) {
    done_seen = true;
    state = StreamState::kDone;
    return;
  }
  if (event.name == "error") return take_error(data, out);
  const std::string_view name =
      simdjson::validate_utf8(event.name.data(), event.name.size()) ? event.name : std::string_view();
  if (data.front() != '{') {
    state = StreamState::kBroken;
    return;
  }
  if (simdjson::validate_utf8(event.data.data(), event.data.size())) return take_data(name, event.data, out);
  // One bad byte would end a Python client with UnicodeDecodeError.
  repaired.clear();
  for (std::string_view bytes = event.data; !bytes.empty();) {
    const std::size_t length = wire::utf8_length(bytes);
    repaired.append(length == 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(0, length));
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  take_data(name, repaired.view(), out);
}

void StreamProgress::take_data(std::string_view name, std::string_view data, Buffer& out) {
  Chunk chunk;
  if (read_chunk(data, chunk) == ChunkForm::kMalformed) {
    state = StreamState::kBroken;
    return;
  }
  const bool flat = chunk.object == "\"error\"" || chunk.type == "\"error\"" ||
                    (chunk.tells && chunk.choices.empty() && api_of(endpoint) != Api::kResponse && !makes());
  if (flat || !chunk.error.says_nothing()) return take_error(data, out);
  if (api_of(endpoint) == Api::kResponse) return take_response_event(name, chunk, out);
  if (makes()) return take_made_event(name, chunk, out);
  take_chunk(name, chunk, out);
}

// What is left over may be an end without its blank line, or an error in no form of an event at all.
void StreamProgress::take_rest(std::string_view rest, Buffer& out) {
  if (rest.starts_with("data:")) {
    if (without_space(rest.substr(5)).starts_with(kDone)) {
      done_seen = true;
      state = StreamState::kDone;
    }
  } else if (rest.starts_with('{')) {
    constexpr std::size_t kLongestBytes = 64 * 1024;
    const std::size_t end = rest.substr(0, kLongestBytes).find('\n');
    if (end != std::string_view::npos) return take_error(rest.substr(0, end), out);
    if (rest.size() > kLongestBytes) state = StreamState::kBroken;
  }
  if (state == StreamState::kOpen && rest.size() > options.event_limit_bytes) state = StreamState::kBroken;
}

void StreamProgress::take_error(std::string_view data, Buffer& out) {
  dialect::ErrorAnswer answer = upstream_answer(error_status(data, 500), {}, data);
  dialect::hide_secret(answer, options.secret);
  out.append(error_event(answer));
  ++events;
  state = StreamState::kError;
}

void StreamProgress::take_chunk(std::string_view name, const Chunk& chunk, Buffer& out) {
  note_head(chunk);
  const bool has_usage = chunk.usage.present() && chunk.usage.member.value.front() == '{';
  const Choices has_choices = chunk.has_choices();
  if (has_choices != Choices::kSome && has_usage) return take_usage_chunk(chunk);
  if (!chunk.groq.empty()) (void)note_usage(dialect::read_usage(wire::skim_find(chunk.groq, "usage")), Told::kByGroq);
  if (has_choices == Choices::kEmpty) return;  // SDK users index into choices
  const ChoiceTable::Seen seen = choices.read(chunk.choices);
  note_text(seen.text.bytes);
  if (seen.usage) (void)note_usage(choices.used(), Told::kByChoices);
  if (has_usage) {
    const bool counted_now = note_usage(dialect::read_usage(chunk.usage.member.value), Told::kAlong);
    if (options.client_wants_usage && (counted_now || held_usage.empty())) {
      held_usage.clear();
      append_without_choices(held_usage, chunk);
    }
  }
  const bool keep_usage = options.client_wants_usage && !has_usage;
  const char* mark = seen.text.last.data();
  const std::size_t begin = out.size();
  std::size_t at = 0;
  if ((!chunk.usage.present() || keep_usage) && !chunk.error.present()) {
    pass(name, chunk.text, out);
    if (mark != nullptr) at = kDataField.size() + static_cast<std::size_t>(mark - chunk.text.data());
  } else {
    at = pass_edited(name, chunk, options.client_wants_usage && has_usage, out, mark);
  }
  if (name.empty() && !has_usage && !seen.usage) learn(chunk, seen, out.view().substr(begin), at);
}

// Only where nothing but the one text can be told from the chunk: no end, no usage, no second string.
void StreamProgress::learn(const Chunk& chunk, const ChoiceTable::Seen& seen, std::string_view event, std::size_t at) {
  constexpr unsigned kMostFruitless = 16;
  if (seen.choices != 1 || seen.ended || seen.text.strings != 1 || fruitless == kMostFruitless) return;
  if (chunk.text.find('\n') != std::string_view::npos) return;
  ++fruitless;
  repeated.learn(chunk.text, seen.text.last, event, at);
}

// Held back until [DONE], so that the client gets exactly one whatever the upstream sends.
void StreamProgress::take_usage_chunk(const Chunk& chunk) {
  const bool counted_now = note_usage(dialect::read_usage(chunk.usage.member.value), Told::kAlone);
  if (!options.client_wants_usage || (!counted_now && !held_usage.empty())) return;
  held_usage.clear();
  edited.clear();
  if (chunk.has_choices() == Choices::kEmpty && chunk.choices.front() == '[' && !chunk.error.present()) {
    held_usage.append(chunk.text);
    return;
  }
  append_without_choices(edited, chunk);
  if (!chunk.error.present()) {
    held_usage.append(edited.view());
    return;
  }
  Chunk again;
  if (read_chunk(edited.view(), again) == ChunkForm::kObject)
    append_edited(held_usage, again, {}, {.removed = &again.error});
}

void StreamProgress::take_response_event(std::string_view name, const Chunk& chunk, Buffer& out) {
  const std::string_view type = wire::is_string(chunk.type) ? wire::unquoted(chunk.type) : name;
  if (const std::string_view number = wire::skim_find(chunk.text, "sequence_number"); !number.empty())
    sequence_number = wire::skim_count(number) + 1;
  if (type.ends_with(".delta")) {
    DeltaText text;
    add_text(wire::skim_find(chunk.text, "delta"), text);
    note_text(text.bytes);
  } else if (model_value.empty() || is_terminal(type)) {
    Chunk response;
    if (read_chunk(wire::skim_find(chunk.text, "response"), response) == ChunkForm::kObject) {
      response.created = wire::skim_find(response.text, "created_at");
      note_head(response);
      if (is_terminal(type)) (void)note_usage(dialect::read_usage(response.usage.member.value), Told::kAlone);
    }
  }
  if (!type.ends_with(".delta")) note_ids(type, chunk);
  if (chunk.error.present()) {
    (void)pass_edited(name, chunk, false, out, nullptr);
  } else {
    pass(name, chunk.text, out);
  }
  if (!is_terminal(type)) return;
  terminal_seen = true;
  if (type != "response.completed") ending = type == "response.failed" ? Ending::kFailed : Ending::kIncomplete;
  state = StreamState::kDone;
}

// A response says its id in its first event, and each item's as it begins; the terminal event repeats them all.
void StreamProgress::note_ids(std::string_view type, const Chunk& event) {
  const auto id_in = [](std::string_view object) {
    const std::string_view id = wire::skim_find(object, "id");
    return wire::is_string(id) ? wire::unquoted(id) : std::string_view();
  };
  if (type.starts_with("response.output_item.")) return ids.add_item(id_in(wire::skim_find(event.text, "item")));
  if (ids.answer().empty()) ids.set_answer(id_in(wire::skim_find(event.text, "response")));
}

void StreamProgress::note_head(const Chunk& chunk) {
  if (!model_value.empty() || !wire::is_string(chunk.model) || chunk.model.size() <= 2) return;
  if (chunk.model.size() > kHeadFieldBytes) return;
  model_value.assign(chunk.model);
  if (chunk.id.size() <= kHeadFieldBytes) id.assign(chunk.id);
  if (chunk.created.size() <= kHeadFieldBytes) created.assign(chunk.created);
  std::array<char, kHeadFieldBytes> decoded;
  model.assign(wire::unescape(wire::unquoted(chunk.model), decoded));
}

void StreamProgress::note_text(std::uint64_t bytes) noexcept {
  if (bytes == 0) return;
  ++text_deltas;
  text_total_bytes += bytes;
}

bool StreamProgress::note_usage(std::optional<UsageReading> said, Told where) noexcept {
  if (!said || (usage && where < told)) return false;
  // Whoever once told what cannot be is not believed in this answer any more.
  const bool believed = options.claim_limit.allows(said->usage) && (!usage || usage->doubt != UsageDoubt::kClaim);
  if (!believed) said->doubt = UsageDoubt::kClaim;
  usage = said;
  told = where;
  return true;
}

void StreamProgress::pass(std::string_view name, std::string_view data, Buffer& out) {
  wire::append_event(out, name, data);
  ++events;
}

std::size_t StreamProgress::pass_edited(std::string_view name, const Chunk& chunk, bool usage_to_null, Buffer& out,
                                        const char* mark) {
  const bool remove_usage = chunk.usage.present() && api_of(endpoint) != Api::kResponse && !makes() &&
                            (usage_to_null || !options.client_wants_usage);
  edited.clear();
  const std::size_t at =
      append_edited(edited, chunk, {.removed = remove_usage ? &chunk.usage : nullptr, .to_null = usage_to_null},
                    {.removed = chunk.error.present() ? &chunk.error : nullptr}, mark);
  pass(name, edited.view(), out);
  return kDataField.size() + at;
}

std::uint64_t StreamProgress::counted() const noexcept {
  // A delta is a token with most servers; one that packs several into a delta is known by its length.
  constexpr std::uint64_t kBytesPerToken = 4;
  return std::max(text_deltas, text_total_bytes / kBytesPerToken);
}

Usage StreamProgress::estimate(std::uint64_t prompt_estimate) const noexcept {
  const Usage passed{.source = UsageSource::kEstimated,
                     .prompt_tokens = prompt_estimate,
                     .completion_tokens = std::min(counted(), options.claim_limit.completion)};
  if (usage && usage->doubt != UsageDoubt::kClaim) {
    Usage said = usage->usage;
    if (said.total() == 0) return dialect::with_meters_of(said, passed);
    // Usage that rides along counts one choice alone with some servers.
    if (told != Told::kAlone && choices.size() > 1)
      said.completion_tokens = std::max(said.completion_tokens, counted());
    return said;
  }
  return events == 0 ? Usage() : passed;
}

}  // namespace sluice::openai
