#include "openai/chunk.h"

#include <algorithm>
#include <cstring>

#include "wire/json_text.h"

namespace sluice::openai {
namespace {

constexpr std::uint64_t kMostIndexes = 1 << 18;  // 128 × 2,048 prompts

bool is_text_member(std::string_view name) noexcept { return name != "role" && name != "id" && name != "type"; }

void append_range(Buffer& out, const char* begin, const char* end) {
  if (end > begin) out.append({begin, static_cast<std::size_t>(end - begin)});
}

}  // namespace

std::uint64_t string_bytes(std::string_view inside) noexcept {
  if (std::memchr(inside.data(), '\\', inside.size()) == nullptr) return inside.size();
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    ++bytes;
    if (inside[i] != '\\') continue;
    ++i;
    if (i < inside.size() && inside[i] == 'u') {
      i += 4;
      ++bytes;
    }
  }
  return bytes;
}

Choices Chunk::has_choices() const noexcept {
  if (choices.empty()) return Choices::kAbsent;
  if (choices.front() != '[') return Choices::kEmpty;
  const std::size_t first = choices.find_first_not_of(" \t\r\n", 1);
  return first == std::string_view::npos || choices[first] == ']' ? Choices::kEmpty : Choices::kSome;
}

ChunkForm read_chunk(std::string_view text, Chunk& into) noexcept {
  into.text = text;
  wire::Skimmer skimmer(text);
  if (skimmer.open('{') != wire::Skim::kMember) return ChunkForm::kMalformed;
  std::array<char, 16> scratch;  // longer than each of these names
  wire::SkimMember member;
  Removable* last = nullptr;
  const char* previous_end = nullptr;
  wire::Skim step = wire::Skim::kMember;
  for (std::size_t index = 0; (step = skimmer.member(member)) == wire::Skim::kMember; ++index) {
    if (last != nullptr) last->next_begin = member.begin;
    last = nullptr;
    const std::string_view name = wire::plain_name(member.name, scratch);
    if (name == "choices") {
      into.choices = member.value;
    } else if (name == "usage" || name == "error") {
      last = name == "usage" ? &into.usage : &into.error;
      *last = {member, previous_end, nullptr, index};
    } else if (name == "id") {
      into.id = member.value;
    } else if (name == "object") {
      into.object = member.value;
    } else if (name == "created") {
      into.created = member.value;
    } else if (name == "model") {
      into.model = member.value;
    } else if (name == "type") {
      into.type = member.value;
    } else if (name == "x_groq") {
      into.groq = member.value;
    } else if (name == "message" || name == "detail") {
      into.tells = true;
    }
    previous_end = member.end();
  }
  const std::string_view behind = text.substr(static_cast<std::size_t>(skimmer.position() - text.data()));
  if (step != wire::Skim::kEnd || behind.find_first_not_of(" \t\r\n") != std::string_view::npos)
    return ChunkForm::kMalformed;
  return ChunkForm::kObject;
}

std::size_t append_edited(Buffer& out, const Chunk& chunk, ChunkEdit usage, ChunkEdit error, const char* mark) {
  std::size_t marked = 0;
  const auto keep = [&](const char* begin, const char* end) {
    if (mark >= begin && mark < end) marked = out.size() + static_cast<std::size_t>(mark - begin);
    append_range(out, begin, end);
  };
  std::array<ChunkEdit, 2> edits{usage, error};
  if (edits[1].removed != nullptr && (edits[0].removed == nullptr || edits[1].removed->index < edits[0].removed->index))
    std::swap(edits[0], edits[1]);
  const char* at = chunk.text.data();
  std::size_t kept_from = 0;  // members from this index on have a kept one before them, if they are not the first
  for (const ChunkEdit& edit : edits) {
    if (edit.removed == nullptr) continue;
    const Removable& removed = *edit.removed;
    if (edit.to_null) {
      keep(at, removed.member.value.data());
      out.append("null");
      at = removed.member.end();
    } else if (removed.index > kept_from) {
      keep(at, removed.previous_end);
      at = removed.member.end();
    } else {
      keep(at, removed.member.begin);
      at = removed.next_begin != nullptr ? removed.next_begin : removed.member.end();
      kept_from = removed.index + 1;
    }
  }
  keep(at, chunk.text.data() + chunk.text.size());
  return marked;
}

void append_without_choices(Buffer& out, const Chunk& chunk) {
  const char* end = chunk.text.data() + chunk.text.size();
  if (chunk.choices.empty()) {
    const char* inside = chunk.text.data() + chunk.text.find('{') + 1;
    append_range(out, chunk.text.data(), inside);
    out.append("\"choices\":[],");  // it has a usage member, so the comma is right
    append_range(out, inside, end);
    return;
  }
  append_range(out, chunk.text.data(), chunk.choices.data());
  out.append("[]");
  append_range(out, chunk.choices.data() + chunk.choices.size(), end);
}

std::size_t ChoiceTable::size() const noexcept { return std::max<std::size_t>(expected_, ended_.size()); }

void add_choice(std::optional<dialect::UsageReading>& sum, const dialect::UsageReading& choice) noexcept {
  if (!sum) {
    sum = choice;
    return;
  }
  Usage& usage = sum->usage;
  usage.prompt_tokens = std::max(usage.prompt_tokens, choice.usage.prompt_tokens);
  usage.cached_tokens = std::max(usage.cached_tokens, choice.usage.cached_tokens);
  usage.cache_write_tokens = std::max(usage.cache_write_tokens, choice.usage.cache_write_tokens);
  usage.cache_write_1h_tokens = std::max(usage.cache_write_1h_tokens, choice.usage.cache_write_1h_tokens);
  usage.audio_input_tokens = std::max(usage.audio_input_tokens, choice.usage.audio_input_tokens);
  usage.completion_tokens += choice.usage.completion_tokens;
  usage.reasoning_tokens += choice.usage.reasoning_tokens;
  usage.audio_output_tokens += choice.usage.audio_output_tokens;
  sum->doubt = std::max(sum->doubt, choice.doubt);
}

std::optional<dialect::UsageReading> ChoiceTable::used() const noexcept {
  std::optional<dialect::UsageReading> sum;
  for (const std::optional<dialect::UsageReading>& told : used_) {
    if (told) add_choice(sum, *told);
  }
  return sum;
}

void ChoiceTable::note_usage(std::uint64_t index, const dialect::UsageReading& told) {
  constexpr std::uint64_t kMostTelling = 1024;
  if (index >= kMostTelling) return;
  if (index >= used_.size()) used_.resize(index + 1);
  used_[index] = told;
}

void ChoiceTable::mark(std::uint64_t index, bool ended) {
  if (index >= kMostIndexes) return;
  if (index >= ended_.size()) ended_.resize(index + 1);
  if (!ended || ended_[index] != 0) return;
  ended_[index] = 1;
  ++ended_count_;
}

ChoiceTable::Seen ChoiceTable::read(std::string_view choices) {
  Seen seen;
  wire::Skimmer list(choices);
  std::string_view choice;
  if (list.open('[') != wire::Skim::kMember) return seen;
  while (list.element(choice) == wire::Skim::kMember) {
    wire::Skimmer members(choice);
    if (members.open('{') != wire::Skim::kMember) continue;
    wire::SkimMember member;
    std::uint64_t index = 0;
    bool ended = false;
    std::optional<dialect::UsageReading> told;
    while (members.member(member) == wire::Skim::kMember) {
      if (member.name == "index") {
        index = wire::skim_count(member.value);
      } else if (member.name == "finish_reason") {
        ended = wire::is_string(member.value) && member.value.size() > 2;  // "" is a bug of old SGLang, and no end
      } else if (member.name == "delta" || member.name == "text") {
        add_text(member.value, seen.text);
      } else if (member.name == "usage") {
        told = dialect::read_usage(member.value);
      }
    }
    if (told) {
      note_usage(index, *told);
      seen.usage = true;
    }
    ++seen.choices;
    seen.ended = seen.ended || ended;
    mark(index, ended);
  }
  return seen;
}

void add_text(std::string_view value, DeltaText& into, unsigned depth) noexcept {
  constexpr unsigned kDeepest = 6;
  if (wire::is_string(value)) {
    into.last = wire::unquoted(value);
    into.bytes += string_bytes(into.last);
    ++into.strings;
    return;
  }
  if (depth == kDeepest || value.empty()) return;
  wire::Skimmer skimmer(value);
  if (value.front() == '{' && skimmer.open('{') == wire::Skim::kMember) {
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      if (is_text_member(member.name)) add_text(member.value, into, depth + 1);
    }
  } else if (value.front() == '[' && skimmer.open('[') == wire::Skim::kMember) {
    std::string_view element;
    while (skimmer.element(element) == wire::Skim::kMember) add_text(element, into, depth + 1);
  }
}

}  // namespace sluice::openai
