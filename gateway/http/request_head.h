// The head of a request: what it says, as views into its own bytes.
#pragma once

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>
#include <string_view>
#include <vector>

namespace sluice::http {

using Verb = boost::beast::http::verb;
using Field = boost::beast::http::field;

// The fields of a head, in the order in which they came.
// Lifetime: views into the head's bytes.
class Fields final {
 public:
  struct Line {
    Field id;               // Field::unknown: one that Beast has no name for
    std::string_view name;  // as sent
    std::string_view value;
  };

  // The first value, or empty.
  [[nodiscard]] std::string_view operator[](Field id) const noexcept;
  [[nodiscard]] std::string_view operator[](std::string_view name) const noexcept;  // ASCII case does not matter

  [[nodiscard]] auto begin() const noexcept { return lines_.begin(); }
  [[nodiscard]] auto end() const noexcept { return lines_.end(); }

  void reserve(std::size_t lines) { lines_.reserve(lines); }
  void add(const Line& line) { lines_.push_back(line); }
  void clear() noexcept { lines_.clear(); }

 private:
  std::vector<Line> lines_;
};

// Lifetime: views are valid as long as the bytes that were parsed.
struct RequestHead {
  Verb method = Verb::unknown;
  std::string_view target;  // as sent
  std::string_view path;    // target before '?', without scheme and authority
  std::string_view query;   // after '?', may be empty
  Fields fields;
};

}  // namespace sluice::http
