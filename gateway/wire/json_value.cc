#include "wire/json_value.h"

namespace sluice::wire {

Result<ondemand::json_type> type_of(ondemand::value& value) noexcept {
  ondemand::json_type type{};
  if (value.type().get(type)) return bad(kNotJson);
  return type;
}

Result<bool> is_null(ondemand::value& value) noexcept {
  const Result<ondemand::json_type> type = type_of(value);
  if (!type) return type.error();
  if (*type != ondemand::json_type::null) return false;
  bool null = false;
  if (value.is_null().get(null) || !null) return bad(kNotJson);
  return true;
}

}  // namespace sluice::wire
