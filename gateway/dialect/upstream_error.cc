#include "dialect/upstream_error.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/text.h"
#include "dialect/error_answer.h"
#include "wire/json_text.h"
#include "wire/skim.h"

namespace sluice::dialect {

void hide_secret(ErrorAnswer& answer, std::string_view secret) noexcept {
  constexpr std::size_t kShortest = 8;  // a shorter one is no key, and may be a word
  if (secret.size() < kShortest) return;
  for (std::size_t at = answer.body.find(secret); at != WipedString::npos; at = answer.body.find(secret, at))
    std::fill_n(answer.body.begin() + static_cast<std::ptrdiff_t>(at), secret.size(), '*');
}
namespace {

constexpr std::size_t kMessageBytes = 4096;
constexpr std::size_t kFieldBytes = 128;

void assign_decoded(WipedString& into, std::string_view value, std::size_t limit_bytes) {
  std::array<char, kMessageBytes> decoded;
  const std::size_t bound = std::min(limit_bytes, decoded.size());
  const std::string_view text = wire::unescape(wire::unquoted(value), std::span(decoded).first(bound));
  into.assign(text);
  wipe(decoded.data(), text.size());
}

// A string, or a number in its own spelling: vLLM and llama.cpp send integer codes.
void assign_field(WipedString& into, std::string_view value) {
  if (wire::is_string(value)) {
    assign_decoded(into, value, kFieldBytes);
  } else if (wire::skim_count(value) != 0) {
    into.assign(value.substr(0, kFieldBytes));
  }
}

constexpr int kDeepest = 6;  // {"error":{"message":{"detail":[{"msg":…}]}}} is four
constexpr int kMostEntries = 16;

void read_words(std::string_view value, UpstreamError& into, int depth);

// The member that a list of pydantic's names: {"loc":["body","max_tokens"]}.
void read_location(std::string_view value, UpstreamError& into) {
  wire::Skimmer skimmer(value);
  if (skimmer.open('[') != wire::Skim::kMember) return;
  std::string_view element;
  while (skimmer.element(element) == wire::Skim::kMember) {
    if (wire::is_string(element) && element != "\"body\"") assign_field(into.param, element);
  }
}

// The members of one object that say something, as they stand in it; empty: absent.
struct Said {
  std::string_view error, message, detail, msg, description, errors, title;  // words, or what holds them
  std::string_view type, param, code, loc;
};

Said said_by(std::string_view object) noexcept {
  Said said;
  const std::pair<std::string_view, std::string_view*> rows[] = {
      {"error", &said.error},    {"message", &said.message}, {"detail", &said.detail},
      {"msg", &said.msg},        {"errors", &said.errors},   {"error_description", &said.description},
      {"title", &said.title},    {"type", &said.type},       {"param", &said.param},
      {"code", &said.code},      {"loc", &said.loc},         {"error_msg", &said.msg},
      {"Message", &said.message}};
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return said;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    for (const auto& [name, value] : rows) {
      if (member.name == name && member.value != "null") *value = member.value;
    }
  }
  return said;
}

void read_object(std::string_view object, UpstreamError& into, int depth) {
  const Said said = said_by(object);
  const bool holds = !said.error.empty() && !wire::is_string(said.error);
  if (holds) read_words(said.error, into, depth);
  if (holds && said.error.front() == '{') return;  // the nested form: what stands beside it is the envelope's
  // {"error":"Unauthorized","message":"…"}: the words of the longer form win.
  for (const std::string_view words :
       {said.message, said.detail, said.msg, said.description, said.errors, said.error, said.title}) {
    if (into.message.empty()) read_words(words, into, depth);
  }
  if (!said.loc.empty()) {
    read_location(said.loc, into);
    if (into.code.empty()) assign_field(into.code, said.type);  // pydantic's "type" is what went wrong
  } else if (into.type.empty()) {
    assign_field(into.type, said.type);
  }
  if (into.param.empty() && wire::is_string(said.param)) assign_field(into.param, said.param);
  if (into.code.empty()) assign_field(into.code, said.code);
}

// {"errors":{"max_tokens":["…"]}}: the member's name, and what is wrong with it.
void read_map(std::string_view object, UpstreamError& into, int depth) {
  wire::Skimmer skimmer(object);
  wire::SkimMember member;
  if (skimmer.open('{') != wire::Skim::kMember || skimmer.member(member) != wire::Skim::kMember) return;
  if (member.value.empty() || member.value.front() != '[') return;
  read_words(member.value, into, depth);
  if (!into.message.empty() && into.param.empty()) into.param.assign(member.name.substr(0, kFieldBytes));
}

// The first words in a value of any form, and what is said beside them.
void read_words(std::string_view value, UpstreamError& into, int depth) {
  if (value.empty() || depth == 0) return;
  if (wire::is_string(value)) return assign_decoded(into.message, value, kMessageBytes);
  if (value.front() == '{') {
    read_object(value, into, depth - 1);
    if (into.message.empty()) read_map(value, into, depth - 1);
    return;
  }
  wire::Skimmer skimmer(value);
  if (skimmer.open('[') != wire::Skim::kMember) return;
  std::string_view element;
  for (int i = 0; i < kMostEntries && into.message.empty() && skimmer.element(element) == wire::Skim::kMember; ++i)
    read_words(element, into, depth - 1);
}

// `needle` in lower case.
bool contains_folded(std::string_view text, std::string_view needle) noexcept {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; };
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(), same) != text.end();
}

bool contains_any(const UpstreamError& error, std::span<const std::string_view> words) noexcept {
  return std::ranges::any_of(words, [&](std::string_view word) {
    return contains_folded(error.message, word) || contains_folded(error.type, word) ||
           contains_folded(error.code, word);
  });
}

// Of a 403: whether it speaks of what the caller asked, and not of the gateway's own credential or account. Words alone
// tell the two apart: OpenRouter and xAI moderate under this status, everybody refuses keys under it, and neither has a
// code for it. What says neither counts as the credential's: it may describe the operator's account, and who can mend
// that is told.
bool is_moderation(const UpstreamError& error) noexcept {
  constexpr std::string_view kAccount[] = {"your account", "this account", "api key", "api_key"};
  constexpr std::string_view kAsked[] = {"prompt", "input", "content", "request", "message", "output"};
  if (contains_any(error, kAccount) && !contains_any(error, kAsked)) return false;
  constexpr std::string_view kWords[] = {"moderation",     "flagged", "content policy", "content_policy",
                                         "content filter", "safety",  "content_filter", "usage polic",
                                         "inappropriate",  "harmful", "guardrail",      "violat"};
  return contains_any(error, kWords);
}

}  // namespace

UpstreamError read_error(std::string_view body) {
  UpstreamError error;
  read_words(trimmed(body, kJsonWhite), error, kDeepest);
  return error;
}

bool is_context_overflow(const UpstreamError& error) noexcept {
  if (error.type == "exceed_context_size_error" || error.code == "context_length_exceeded") return true;
  constexpr std::string_view kWords[] = {
      "maximum context length",       // vLLM, Ollama
      "maximum model length",         // vLLM
      "exceeds the context length",   // Ollama
      "available context size",       // llama.cpp
      "model's context length",       // SGLang
      "context the overflows",        // LM Studio
      "`max_new_tokens` must be <=",  // TGI
  };
  for (const std::string_view words : kWords) {
    if (contains_folded(error.message, words)) return true;
  }
  return false;
}

bool mentions(const UpstreamError& error, std::string_view word) noexcept {
  return contains_folded(error.message, word) || contains_folded(error.code, word);
}

bool refuses_credentials(std::uint16_t status, const UpstreamError& error) noexcept {
  return status == 401 || status == 402 || (status == 403 && !is_moderation(error));
}

std::uint16_t client_status(std::uint16_t upstream_status) noexcept {
  switch (upstream_status) {
    case 400:
    case 404:
    case 405:
    case 406:
    case 410:
    case 411:
    case 413:
    case 414:
    case 415:
    case 416:
    case 422:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return upstream_status;
    case 408:
      return 504;
    case 501:  // llama.cpp: started without this endpoint. A client that takes it for a fault asks again in vain
      return 400;
    case 451:
      return upstream_status;
    case 498:  // Groq: out of capacity
    case 529:  // Anthropic: overloaded
      return 503;
    default:
      return 502;
  }
}

std::uint16_t error_status(std::string_view body, std::uint16_t otherwise) noexcept {
  std::uint64_t code = wire::skim_count(wire::skim_find(wire::skim_find(body, "error"), "code"));
  if (code == 0) code = wire::skim_count(wire::skim_find(body, "code"));
  return code >= 400 && code < 600 ? static_cast<std::uint16_t>(code) : otherwise;
}

}  // namespace sluice::dialect
