#include "upstream/model_list.h"

#include <absl/time/time.h>
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "identity/binding.h"

namespace sluice::upstream {
namespace {

using Array = simdjson::dom::array;
using Element = simdjson::dom::element;

constexpr std::size_t kMostModels = 10'000;

// The array that holds the entries. Nothing: null stands where one should.
Result<std::optional<Array>> entries_of(const Element& document) {
  Array entries;
  if (document.get(entries) == simdjson::SUCCESS) return std::optional(entries);
  std::optional<Array> found;
  bool null = false;
  for (const char* member : {"data", "models"}) {
    Element list;
    if (document[member].get(list) != simdjson::SUCCESS) continue;
    null |= list.is_null();
    if (list.get(entries) == simdjson::SUCCESS && (!found || found->size() == 0)) found = entries;
  }
  if (found || null) return found;
  return upstream_error(ErrorKind::kProtocol, "/v1/models is not a list of models");
}

bool is_usable(std::string_view name) noexcept {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !name.empty() && name.size() <= identity::kModelNameBytes && std::ranges::none_of(name, control);
}

// The name that an entry has under `member`; null: its own text. Empty: it has none.
std::string_view name_of(const Element& entry, const char* member) noexcept {
  std::string_view name;
  const auto error = member == nullptr ? entry.get(name) : entry[member].get(name);
  return error == simdjson::SUCCESS && is_usable(name) ? name : std::string_view();
}

// A whole number above 0 and within `most`, else 0.
std::uint64_t number_of(const Element& entry, const char* object, const char* member, std::uint64_t most) noexcept {
  Element value = entry;
  double number = 0;
  if (object != nullptr && entry[object].get(value) != simdjson::SUCCESS) return 0;
  if (value[member].get(value) != simdjson::SUCCESS || value.get(number) != simdjson::SUCCESS) return 0;
  return number >= 1 && number <= static_cast<double>(most) ? static_cast<std::uint64_t>(number) : 0;
}

constexpr std::uint64_t kLatest = 253'402'300'799;  // the year 9999

// A number under "created" (OpenAI), a number or a date of RFC 3339 under "created_at" (Anthropic). 0: nothing of them.
std::int64_t created_of(const Element& entry) noexcept {
  for (const char* member : {"created", "created_at"}) {
    const std::uint64_t seconds = number_of(entry, nullptr, member, kLatest);
    if (seconds != 0) return static_cast<std::int64_t>(seconds);
  }
  std::string_view text;
  absl::Time date;
  if (entry["created_at"].get(text) != simdjson::SUCCESS) return 0;
  if (!absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &date, nullptr)) return 0;
  const std::int64_t seconds = absl::ToUnixSeconds(date);
  return seconds > 0 && seconds <= static_cast<std::int64_t>(kLatest) ? seconds : 0;
}

struct ContextName {
  const char* object;  // null: the entry itself
  const char* member;
};
// vLLM and SGLang; LM Studio; llama.cpp; OpenRouter and many others; Groq; Mistral and LM Studio; Ollama; llama.cpp.
constexpr ContextName kContextNames[] = {
    {nullptr, "max_model_len"},
    {nullptr, "loaded_context_length"},
    {"meta", "n_ctx"},
    {nullptr, "n_ctx"},
    {nullptr, "context_length"},
    {nullptr, "context_window"},
    {nullptr, "max_context_length"},
    {"details", "context_length"},
    {"meta", "n_ctx_train"},
};

ModelFacts facts_of(const Element& entry) noexcept {
  constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 40;
  ModelFacts facts;
  if (!entry.is_object()) return facts;
  facts.created = created_of(entry);
  for (const ContextName& name : kContextNames) {
    if (facts.context_tokens != 0) break;
    facts.context_tokens = number_of(entry, name.object, name.member, kMostTokens);
  }
  return facts;
}

// How this list spells its names: the first way that any of its entries knows.
const char* spelling_of(Array entries) noexcept {
  for (const char* member : {"id", "model", "name"}) {
    for (const Element entry : entries) {
      if (!name_of(entry, member).empty()) return member;
    }
  }
  const bool objects = std::ranges::any_of(entries, [](const Element entry) { return entry.is_object(); });
  return objects ? "id" : nullptr;
}

}  // namespace

Result<ModelList> read_model_list(std::string_view json) {
  simdjson::dom::parser parser;
  Element document;
  if (parser.parse(json.data(), json.size()).get(document) != simdjson::SUCCESS)
    return upstream_error(ErrorKind::kProtocol, "/v1/models is not JSON");
  const Result<std::optional<Array>> entries = entries_of(document);
  if (!entries) return entries.error();
  ModelList list;
  if (!entries->has_value()) return list;
  const char* const spelling = spelling_of(**entries);
  std::unordered_set<std::string_view> seen;
  for (const Element entry : **entries) {
    const std::string_view name = name_of(entry, spelling);
    if (name.empty() || list.names.size() == kMostModels) {
      ++list.left_out;
    } else if (seen.insert(name).second) {
      list.names.emplace_back(name);
      list.facts.push_back(facts_of(entry));
    }
  }
  return list;
}

bool is_json(std::string_view text) {
  simdjson::dom::parser parser;
  Element document;
  return parser.parse(text.data(), text.size()).get(document) == simdjson::SUCCESS &&
         (document.is_object() || document.is_array());
}

}  // namespace sluice::upstream
