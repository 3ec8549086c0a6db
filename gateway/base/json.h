// JSON of the control plane (boost::json, compiled once in json.cc). Bodies of calls are read by simdjson, by their dialects.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

namespace json = boost::json;

// An object of at most `limit_bytes`, nested at most eight deep; nothing if `text` is anything else. LM Studio and
// others answer 200 to any path, so what was asked for is only there if it parses.
[[nodiscard]] std::optional<json::object> parse_object(std::string_view text, std::size_t limit_bytes,
                                                       const json::storage_ptr& storage = {});
// Memory of JSON that is wiped before it is given back.
[[nodiscard]] json::storage_ptr wiping_storage() noexcept;

// Members of an object whose types nobody vouches for: the default where a member is absent or of another type.
[[nodiscard]] std::string_view text_of(const json::object& object, std::string_view name,
                                       std::string_view otherwise = {}) noexcept;
[[nodiscard]] std::uint64_t number_of(const json::object& object, std::string_view name,
                                      std::uint64_t otherwise = 0) noexcept;
// Null: no such array.
[[nodiscard]] const json::array* array_of(const json::object& object, std::string_view name) noexcept;

}  // namespace sluice
