#include "dialect/splices.h"

#include <charconv>

#include "wire/json_text.h"

namespace sluice::dialect {
namespace {

void add_part(EditedBody& into, std::string_view part) noexcept {
  if (!part.empty()) into.parts[into.count++] = part;
}

}  // namespace

// A value that is already there stays as it was spelt.
void Splices::clamp_caps(const CallBody& call, std::uint64_t most) {
  for (std::size_t i = 0; i < call.cap_count; ++i) {
    const OutputCap& cap = call.caps[i];
    if (cap.value && *cap.value <= most) continue;
    const std::size_t begin = scratch_.size();
    append_number(most);
    add(cap.member, begin);
  }
}

void Splices::rename_model(const CallBody& call, std::string_view name) {
  if (name.empty() || !call.model_member.present()) return;
  const std::size_t begin = scratch_.size();
  wire::append_json_string(scratch_, name);
  add(call.model_member, begin);
}

void Splices::append_number(std::uint64_t number) {
  char digits[20];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  scratch_.append(digits, written.ptr);
}

void Splices::write(std::string_view body, EditedBody& into) noexcept {
  sort_by_offset();
  into.count = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const Splice& splice = splices_[i];
    add_part(into, body.substr(at, splice.offset - at));
    add_part(into, std::string_view(scratch_).substr(splice.begin, splice.end - splice.begin));
    at = splice.offset + splice.length;
  }
  add_part(into, body.substr(at));
}

// By insertion: there are a handful at most, and std::sort's part for more than 16 draws a warning where it is inlined.
void Splices::sort_by_offset() noexcept {
  for (std::size_t i = 1; i < count_; ++i) {
    const Splice splice = splices_[i];
    std::size_t at = i;
    for (; at > 0 && splices_[at - 1].offset > splice.offset; --at) splices_[at] = splices_[at - 1];
    splices_[at] = splice;
  }
}

}  // namespace sluice::dialect
