#include "base/json.h"

#include <boost/json/src.hpp>
#include <new>

#include "base/bytes.h"

namespace sluice {

namespace {

class WipingResource final : public json::memory_resource {
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    return ::operator new(size, std::align_val_t(alignment));
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t alignment) override {
    wipe(memory, size);
    ::operator delete(memory, std::align_val_t(alignment));
  }
  bool do_is_equal(const json::memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

json::storage_ptr wiping_storage() noexcept {
  static WipingResource resource;  // without state
  return &resource;
}

std::optional<json::object> parse_object(std::string_view text, std::size_t limit_bytes,
                                         const json::storage_ptr& storage) {
  if (text.size() > limit_bytes) return std::nullopt;
  json::parse_options options;
  options.max_depth = 8;
  boost::system::error_code ec;
  json::parser parser(storage, options);  // what it keeps on its way, too
  parser.reset(storage);
  parser.write(json::string_view(text.data(), text.size()), ec);
  if (ec) return std::nullopt;
  json::value value = parser.release();
  if (!value.is_object()) return std::nullopt;
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
