#include "demo/json_form.h"

#include <string_view>

#include "demo/words.h"

namespace sluice::demo {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr unsigned kDeepest = 16;
constexpr std::uint64_t kWords = 3;  // of a text

struct Format {
  std::string_view name, example;
};
constexpr Format kFormats[] = {{"date-time", "2026-01-31T12:00:00Z"},
                               {"date", "2026-01-31"},
                               {"time", "12:00:00Z"},
                               {"email", "demo@example.com"},
                               {"uri", "https://example.com/"},
                               {"uuid", "00000000-0000-4000-8000-000000000000"},
                               {"ipv4", "192.0.2.1"}};

std::string as_json(std::string_view text) {
  std::string json = "\"";
  append_escaped(json, text);
  return json + '"';
}

class Writer final {
 public:
  Writer(const element& root, std::uint64_t seed) : root_(root), seed_(seed) {}

  std::string value(const element& schema, unsigned depth) {
    object terms;
    if (depth > kDeepest) return "null";
    if (schema.get(terms) != simdjson::SUCCESS) return text({});
    element one;
    if (terms["const"].get(one) == simdjson::SUCCESS) return simdjson::minify(one);
    if (terms["enum"].at(0).get(one) == simdjson::SUCCESS) return simdjson::minify(one);
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      if (terms[name].at(0).get(one) == simdjson::SUCCESS) return value(one, depth + 1);
    }
    if (std::string_view place; terms["$ref"].get(place) == simdjson::SUCCESS && place.starts_with('#'))
      return root_.at_pointer(place.substr(1)).get(one) == simdjson::SUCCESS ? value(one, depth + 1) : "null";
    return of_type(terms, depth);
  }

 private:
  std::string of_type(const object& terms, unsigned depth) {
    std::string_view type;
    const auto named = terms["type"];
    if (named.get(type) != simdjson::SUCCESS && named.at(0).get(type) != simdjson::SUCCESS)
      type = depth == 0 || terms["properties"].error() == simdjson::SUCCESS ? "object" : "string";
    if (type == "object") return members(terms, depth);
    if (type == "array") return items(terms, depth);
    if (type == "integer" || type == "number") return number(terms);
    if (type == "boolean") return "true";
    if (type == "null") return "null";
    std::string_view format;
    return terms["format"].get(format) == simdjson::SUCCESS ? text(format) : text({});
  }

  std::string members(const object& terms, unsigned depth) {
    object properties;
    if (terms["properties"].get(properties) != simdjson::SUCCESS || properties.size() == 0) return "{}";
    std::string json;
    for (const auto& [name, schema] : properties) {
      json += json.empty() ? '{' : ',';
      json += as_json(name);
      json += ':';
      json += value(schema, depth + 1);
    }
    return json + '}';
  }

  std::string items(const object& terms, unsigned depth) {
    element one;
    return terms["items"].get(one) == simdjson::SUCCESS ? "[" + value(one, depth + 1) + "]" : "[]";
  }

  static std::string number(const object& terms) {
    element least;
    return terms["minimum"].get(least) == simdjson::SUCCESS ? std::string(simdjson::minify(least)) : "1";
  }

  std::string text(std::string_view format) {
    for (const Format& known : kFormats) {
      if (known.name == format) return as_json(known.example);
    }
    return as_json(words(seed_ += kWords, kWords));
  }

  const element& root_;
  std::uint64_t seed_;
};

}  // namespace

std::string json_for(const element& schema, std::uint64_t seed) { return Writer(schema, seed).value(schema, 0); }

}  // namespace sluice::demo
