#include "base/json.h"

#include <boost/json/src.hpp>

namespace sluice {

std::optional<json::object> parse_object(std::string_view text, std::size_t limit_bytes) {
  if (text.size() > limit_bytes) return std::nullopt;
  json::parse_options options;
  options.max_depth = 8;
  boost::system::error_code ec;
  json::value value = json::parse(json::string_view(text.data(), text.size()), ec, {}, options);
  if (ec || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string_view text_of(const json::object& object, std::string_view name, std::string_view otherwise) noexcept {
  const json::value* member = object.if_contains({name.data(), name.size()});
  if (member == nullptr || !member->is_string()) return otherwise;
  return {member->get_string().data(), member->get_string().size()};
}

std::uint64_t number_of(const json::object& object, std::string_view name, std::uint64_t otherwise) noexcept {
  const json::value* member = object.if_contains({name.data(), name.size()});
  if (member == nullptr) return otherwise;
  if (member->is_uint64()) return member->get_uint64();
  if (member->is_int64() && member->get_int64() >= 0) return static_cast<std::uint64_t>(member->get_int64());
  return otherwise;
}

const json::array* array_of(const json::object& object, std::string_view name) noexcept {
  const json::value* member = object.if_contains({name.data(), name.size()});
  return member == nullptr ? nullptr : member->if_array();
}

}  // namespace sluice
