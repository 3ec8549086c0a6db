#include "tunnel/control.h"

#include <algorithm>
#include <limits>

#include "base/json.h"
#include "identity/binding.h"
#include "wire/json_text.h"

namespace sluice::tunnel {
namespace {

// Whatever an agent claims, so much of it is kept.
constexpr std::size_t kMostModels = 10'000;
constexpr std::size_t kMostGpus = 64;
constexpr std::size_t kLongestName = 256;
constexpr std::size_t kMostEndpoints = 256;
constexpr std::uint32_t kMostSlots = 1'000'000;
constexpr std::uint64_t kLatest = 253'402'300'799;  // the year 9999
constexpr std::uint64_t kMostContext = std::uint64_t{1} << 40;
constexpr std::size_t kTelemetryBytes = 128 * 1024;  // of a health line, beside its models

std::uint32_t small_number_of(const json::object& object, std::string_view name, std::uint32_t otherwise = 0) {
  const std::uint64_t number = number_of(object, name, otherwise);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(number, std::numeric_limits<std::uint32_t>::max()));
}

std::string name_of(const json::object& object, std::string_view name) {
  return std::string(text_of(object, name).substr(0, kLongestName));
}

json::array encode_names(const std::vector<std::string>& names) {
  json::array array;
  for (const std::string& name : names) array.emplace_back(name);
  return array;
}

// Nothing: there is no such array.
std::optional<std::vector<std::string>> decode_names(const json::object& object, std::string_view name) {
  const json::array* const array = array_of(object, name);
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> names;
  for (const json::value& value : *array) {
    if (names.size() == kMostEndpoints) break;
    if (value.is_string()) names.emplace_back(std::string_view(value.get_string()).substr(0, kLongestName));
  }
  return names;
}

std::optional<std::string> decode_member(std::string_view text, std::string_view name) {
  const auto object = parse_object(text, kControlBytes);
  if (!object || text_of(*object, name).empty()) return std::nullopt;
  return std::string(text_of(*object, name));
}

json::value encode_model(const ModelHealth& model) {
  json::object member{{"name", model.name},
                      {"state", model.state == ModelState::kReady ? "ready" : "unavailable"},
                      {"slots", model.slots},
                      {"busy", model.busy}};
  if (model.created != 0) member["created"] = model.created;
  if (model.context_tokens != 0) member["context"] = model.context_tokens;
  return member;
}

json::value encode_gpu(const GpuHealth& gpu) {
  return {{"name", gpu.name},
          {"percent", gpu.percent},
          {"memory_used", gpu.memory_used_bytes},
          {"memory_total", gpu.memory_total_bytes}};
}

// Empty: it has none, or one that is too long.
std::string_view model_name(std::string_view name) {
  return name.size() <= identity::kModelNameBytes ? name : std::string_view();
}

ModelHealth decode_model(const json::object& object) {
  return {std::string(model_name(text_of(object, "name"))),
          text_of(object, "state") == "ready" ? ModelState::kReady : ModelState::kUnavailable,
          std::min(small_number_of(object, "slots"), kMostSlots),
          small_number_of(object, "busy"),
          std::min(number_of(object, "created"), kLatest),
          std::min(number_of(object, "context"), kMostContext)};
}

GpuHealth decode_gpu(const json::object& object) {
  return {name_of(object, "name"), small_number_of(object, "percent"), number_of(object, "memory_used"),
          number_of(object, "memory_total")};
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t most_bytes) {
  std::string clean = wire::valid_utf8(text, most_bytes);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t kSaid = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kSaid); ++i)
    text += (i == 0 ? "" : ", ") + clean_text(names[i], kLongestName);
  if (names.size() > kSaid) text += " and " + std::to_string(names.size() - kSaid) + " more";
  return text;
}

std::string encode_name(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '%') {
      text += c;
    } else {
      text += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return text;
}

std::string encode(const Hello& hello) {
  json::object said{{"gateway", hello.gateway},
                    {"generation", hello.generation},
                    {"workers", hello.workers},
                    {"worker", hello.worker},
                    {"tunnels_per_agent", hello.tunnels_per_agent},
                    {"reconnect_cap_ms", hello.reconnect_cap_ms},
                    {"endpoints", encode_names(hello.endpoints)}};
  if (hello.may_serve) {
    json::array models;
    for (const std::string& model : *hello.may_serve) models.emplace_back(model);
    if (json::serialize(models).size() <= kControlBytes / 2) said["may_serve"] = std::move(models);
  }
  return json::serialize(said);
}

std::string encode(const HelloAnswer& answer) {
  json::object text{{"version", answer.version},
                    {"boot", answer.boot},
                    {"tunnels", answer.tunnels},
                    {"usage_in_stream", answer.usage_in_stream},
                    {"cap_member", kCapMemberNames[static_cast<std::size_t>(answer.cap_member)]}};
  if (answer.endpoints) text["endpoints"] = encode_names(*answer.endpoints);
  if (!answer.allowed.empty()) text["allowed"] = encode_names(answer.allowed);
  return json::serialize(text);
}

std::string encode(const Health& health) {
  json::array models;
  std::size_t room = kHealthBytes - kTelemetryBytes;
  for (const ModelHealth& model : health.models) {
    json::value member = encode_model(model);
    const std::size_t size = json::serialize(member).size() + 1;
    if (size > room || models.size() == kMostModels) break;
    room -= size;
    models.push_back(std::move(member));
  }
  json::array lacks;
  for (const std::string& endpoint : health.lacks) lacks.emplace_back(endpoint);
  json::array gpus;
  for (const GpuHealth& gpu : health.telemetry.gpus) gpus.push_back(encode_gpu(gpu));
  return json::serialize(json::value{{"sequence", health.sequence},
                                     {"models", std::move(models)},
                                     {"trouble", clean_text(health.trouble, kTroubleBytes)},
                                     {"lacks", std::move(lacks)},
                                     {"cpu_percent", health.telemetry.cpu_percent},
                                     {"memory_used", health.telemetry.memory_used_bytes},
                                     {"memory_total", health.telemetry.memory_total_bytes},
                                     {"queue", health.telemetry.queue},
                                     {"gpus", std::move(gpus)}});
}

std::string encode(DrainScope scope) {
  return scope == DrainScope::kTunnel ? R"({"scope":"tunnel"})" : R"({"scope":"gateway"})";
}

std::string encode_csr(std::string_view csr) { return json::serialize(json::value{{"csr", std::string(csr)}}); }

std::string encode_certificate(std::string_view certificate) {
  return json::serialize(json::value{{"certificate", std::string(certificate)}});
}

std::optional<Hello> decode_hello(std::string_view text) {
  const auto object = parse_object(text, kControlBytes);
  if (!object) return std::nullopt;
  Hello hello{name_of(*object, "gateway"),
              name_of(*object, "generation"),
              small_number_of(*object, "workers", 1),
              small_number_of(*object, "worker"),
              small_number_of(*object, "tunnels_per_agent", 8),
              small_number_of(*object, "reconnect_cap_ms", 5'000),
              decode_names(*object, "endpoints").value_or(std::vector<std::string>())};
  if (const json::array* models = array_of(*object, "may_serve")) {
    auto& names = hello.may_serve.emplace();
    for (const json::value& model : *models) {
      if (!model.is_string()) continue;
      const std::string_view name = model_name(model.get_string());
      if (!name.empty()) names.emplace_back(name);
    }
  }
  return hello;
}

std::optional<HelloAnswer> decode_hello_answer(std::string_view text) {
  const auto object = parse_object(text, kControlBytes);
  if (!object) return std::nullopt;
  HelloAnswer answer{name_of(*object, "version"), name_of(*object, "boot"), small_number_of(*object, "tunnels")};
  const json::value* const usage = object->if_contains("usage_in_stream");
  if (usage != nullptr && usage->is_bool()) answer.usage_in_stream = usage->get_bool();
  const auto* const cap = std::ranges::find(kCapMemberNames, text_of(*object, "cap_member"));
  if (cap != std::end(kCapMemberNames)) answer.cap_member = static_cast<CapMember>(cap - kCapMemberNames);
  answer.endpoints = decode_names(*object, "endpoints");
  answer.allowed = decode_names(*object, "allowed").value_or(std::vector<std::string>());
  return answer;
}

std::optional<Health> decode_health(std::string_view text) {
  const auto object = parse_object(text, kHealthBytes);
  if (!object) return std::nullopt;
  Health health;
  health.sequence = number_of(*object, "sequence");
  if (const json::array* models = array_of(*object, "models")) {
    for (const json::value& value : *models) {
      if (health.models.size() == kMostModels) break;
      if (!value.is_object()) continue;
      ModelHealth model = decode_model(value.get_object());
      if (!model.name.empty()) health.models.push_back(std::move(model));
    }
  }
  health.trouble = clean_text(text_of(*object, "trouble"), kTroubleBytes);
  health.lacks = decode_names(*object, "lacks").value_or(std::vector<std::string>());
  Telemetry& telemetry = health.telemetry;
  telemetry.cpu_percent = small_number_of(*object, "cpu_percent");
  telemetry.memory_used_bytes = number_of(*object, "memory_used");
  telemetry.memory_total_bytes = number_of(*object, "memory_total");
  telemetry.queue = small_number_of(*object, "queue");
  if (const json::array* gpus = array_of(*object, "gpus")) {
    for (const json::value& value : *gpus) {
      if (telemetry.gpus.size() == kMostGpus) break;
      if (value.is_object()) telemetry.gpus.push_back(decode_gpu(value.get_object()));
    }
  }
  return health;
}

std::optional<DrainScope> decode_drain(std::string_view text) {
  const auto object = parse_object(text, kControlBytes);
  if (!object) return std::nullopt;
  return text_of(*object, "scope") == "tunnel" ? DrainScope::kTunnel : DrainScope::kGateway;
}

std::optional<std::string> decode_csr(std::string_view text) { return decode_member(text, "csr"); }
std::optional<std::string> decode_certificate(std::string_view text) { return decode_member(text, "certificate"); }

}  // namespace sluice::tunnel
