#include "wire/multipart.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/text.h"

namespace sluice::wire {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

Error bad_form(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

constexpr const char* kNoForm =
    "This endpoint takes a form: send the body as multipart/form-data, with its boundary in Content-Type.";
constexpr const char* kBadBoundary =
    "The boundary in Content-Type must be given once, with 1 to 70 of the characters that RFC 2046 allows.";
constexpr const char* kBadHead =
    "The head of a part of the form cannot be read: it has lines of the form 'Name: value' that end in CRLF, and one "
    "'Content-Disposition: form-data; name=\"…\"'.";

bool is_boundary_character(char c) noexcept {
  const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return plain || std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

bool is_boundary(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMostBoundaryBytes && text.back() != ' ' &&
         std::ranges::all_of(text, is_boundary_character);
}

// One "; name=value" of a header, in a form that every reader takes alike.
struct Parameter {
  std::string_view name;
  std::string_view value;
};

enum class Step : std::uint8_t { kParameter, kEnd, kMalformed };

std::string_view without_blanks(std::string_view text) noexcept {
  return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// A quoted value ends at the next quote: one behind a backslash is its end to some readers and not to others.
Step read_quoted(std::string_view& rest, std::string_view& value) noexcept {
  const std::size_t end = rest.find('"', 1);
  if (end == std::string_view::npos || rest[end - 1] == '\\') return Step::kMalformed;
  value = rest.substr(1, end - 1);
  rest.remove_prefix(end + 1);
  return Step::kParameter;
}

Step next_parameter(std::string_view& rest, Parameter& into) noexcept {
  rest = without_blanks(rest);
  if (rest.empty()) return Step::kEnd;
  if (rest.front() != ';') return Step::kMalformed;
  rest = without_blanks(rest.substr(1));
  const std::size_t equals = rest.find_first_of("=;\" \t");
  if (equals == 0 || equals == std::string_view::npos || rest[equals] != '=') return Step::kMalformed;
  into.name = rest.substr(0, equals);
  rest.remove_prefix(equals + 1);
  if (rest.starts_with('"')) return read_quoted(rest, into.value);
  const std::size_t end = std::min(rest.find_first_of("; \t\""), rest.size());
  into.value = rest.substr(0, end);
  rest.remove_prefix(end);
  return into.value.empty() ? Step::kMalformed : Step::kParameter;
}

bool is_utf8(std::string_view charset) noexcept {
  return same_ignoring_case(charset, "utf-8") || same_ignoring_case(charset, "utf8") ||
         same_ignoring_case(charset, "us-ascii");
}

// What a value is before its parameters.
std::string_view kind_of_value(std::string_view value) noexcept {
  return trimmed(value.substr(0, std::min(value.find(';'), value.size())));
}

std::string_view parameters_of(std::string_view value) noexcept {
  return value.substr(std::min(value.find(';'), value.size()));
}

// What the head of a part said, so far.
struct PartHead {
  std::optional<std::string_view> name;
  std::optional<std::string_view> length;
  bool file = false;
  bool type = false;
};

enum class Readable : std::uint8_t { kYes, kNo };

Readable read_disposition(std::string_view value, PartHead& head) noexcept {
  if (head.name || !same_ignoring_case(kind_of_value(value), "form-data")) return Readable::kNo;
  std::string_view rest = parameters_of(value);
  Parameter parameter;
  bool plain_file = false;
  bool encoded_file = false;
  Step step = Step::kParameter;
  while ((step = next_parameter(rest, parameter)) == Step::kParameter) {
    if (same_ignoring_case(parameter.name, "name")) {
      if (head.name || parameter.value.find('\\') != std::string_view::npos) return Readable::kNo;
      head.name = parameter.value;
    } else if (same_ignoring_case(parameter.name, "filename")) {
      if (std::exchange(plain_file, true)) return Readable::kNo;
    } else if (same_ignoring_case(parameter.name, "filename*")) {
      if (std::exchange(encoded_file, true)) return Readable::kNo;
    } else if (parameter.name.find('*') != std::string_view::npos) {
      return Readable::kNo;  // a name in another encoding, or in pieces
    }
  }
  head.file = plain_file || encoded_file;
  return step == Step::kEnd && head.name && !head.name->empty() ? Readable::kYes : Readable::kNo;
}

Readable read_type(std::string_view value, PartHead& head) noexcept {
  if (std::exchange(head.type, true)) return Readable::kNo;
  std::string_view rest = parameters_of(value);
  Parameter parameter;
  Step step = Step::kParameter;
  while ((step = next_parameter(rest, parameter)) == Step::kParameter) {
    if (same_ignoring_case(parameter.name, "charset") && !is_utf8(parameter.value)) return Readable::kNo;
  }
  return step == Step::kEnd ? Readable::kYes : Readable::kNo;
}

// Some readers decode quoted-printable and base64, some do not.
bool is_as_it_stands(std::string_view encoding) noexcept {
  return same_ignoring_case(encoding, "binary") || same_ignoring_case(encoding, "8bit") ||
         same_ignoring_case(encoding, "7bit");
}

Readable read_line(std::string_view line, PartHead& head) noexcept {
  const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
  const std::size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos || std::ranges::any_of(line, is_control)) return Readable::kNo;
  const std::string_view name = line.substr(0, colon);
  if (name.find_first_of(" \t") != std::string_view::npos) return Readable::kNo;  // a folded line too
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_ignoring_case(name, "content-disposition")) return read_disposition(value, head);
  if (same_ignoring_case(name, "content-type")) return read_type(value, head);
  if (same_ignoring_case(name, "content-transfer-encoding"))
    return is_as_it_stands(value) ? Readable::kYes : Readable::kNo;
  if (!same_ignoring_case(name, "content-length")) return Readable::kYes;
  if (head.length || value.empty()) return Readable::kNo;
  head.length = value;
  return Readable::kYes;
}

// `lines` without the end of the last one.
Readable read_head(std::string_view lines, PartHead& head) noexcept {
  while (!lines.empty()) {
    const std::size_t end = lines.find(kLineEnd);
    if (read_line(lines.substr(0, end), head) == Readable::kNo) return Readable::kNo;
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + kLineEnd.size());
  }
  return head.name ? Readable::kYes : Readable::kNo;
}

// Some readers go by it, and some by the boundary.
bool is_size(std::string_view text, std::size_t size) noexcept {
  std::size_t told = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, told);
  return error == std::errc() && behind == end && told == size;
}

std::size_t find(std::string_view text, std::string_view what) noexcept {
  const void* const found = ::memmem(text.data(), text.size(), what.data(), what.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace

Result<std::string_view> form_boundary(std::string_view content_type) noexcept {
  if (!same_ignoring_case(kind_of_value(content_type), "multipart/form-data")) return bad_form(kNoForm);
  std::string_view rest = parameters_of(content_type);
  std::string_view boundary;
  Parameter parameter;
  Step step = Step::kParameter;
  while ((step = next_parameter(rest, parameter)) == Step::kParameter) {
    constexpr std::string_view kName = "boundary";
    if (same_ignoring_case(parameter.name, "charset") && !is_utf8(parameter.value))
      return bad_form("The charset of a form must be UTF-8.");
    if (!same_ignoring_case(parameter.name.substr(0, kName.size()), kName)) continue;
    if (parameter.name.size() != kName.size() || !boundary.empty()) return bad_form(kBadBoundary);
    boundary = parameter.value;
    if (!is_boundary(boundary)) return bad_form(kBadBoundary);
  }
  if (step == Step::kMalformed || boundary.empty()) return bad_form(kBadBoundary);
  return boundary;
}

FormReader::FormReader(std::string_view body, std::string_view boundary) noexcept
    : delimiter_bytes_(boundary.size() + 2), rest_(body) {
  delimiter_[0] = delimiter_[1] = '-';
  std::ranges::copy(boundary, delimiter_.begin() + 2);
}

Result<FormReader::Found> FormReader::next(FormPart& part) noexcept {
  if (!rest_.starts_with(delimiter()))
    return bad_form("The form must begin with its boundary: '--', and what Content-Type names.");
  std::string_view rest = rest_.substr(delimiter_bytes_);
  if (rest.starts_with("--")) {
    rest.remove_prefix(2);
    if (rest.empty() || rest == kLineEnd) return Found::kEnd;
    return bad_form("Bytes follow the last boundary of the form; remove them.");
  }
  if (!rest.starts_with(kLineEnd))
    return bad_form("The form's boundary must end its line with CRLF, and stand nowhere in its data; choose another.");
  if (++parts_ > kMostParts) return bad_form("The form has too many parts; the bound is 256.");
  const std::size_t head_end = find(rest.substr(0, kMostHeadBytes), kHeadEnd);
  if (head_end == std::string_view::npos)
    return bad_form(rest.size() < kMostHeadBytes
                        ? "The form ends inside the head of a part."
                        : "The head of a part of the form is too long; the bound is 4096 bytes.");
  PartHead head;
  if (head_end == 0 || read_head(rest.substr(kLineEnd.size(), head_end - kLineEnd.size()), head) == Readable::kNo)
    return bad_form(kBadHead);
  const std::string_view data = rest.substr(head_end + kHeadEnd.size());
  const std::size_t end = find(data, delimiter());
  if (end == std::string_view::npos) return bad_form("The form ends without its last boundary.");
  if (end < kLineEnd.size() || data.substr(end - kLineEnd.size(), kLineEnd.size()) != kLineEnd)
    return bad_form("The form's boundary stands within its data, or not on a line of its own; choose another.");
  const std::string_view own = data.substr(0, end - kLineEnd.size());
  if (head.length && !is_size(*head.length, own.size()))
    return bad_form(
        "A part of the form has a Content-Length that is not the length of its data; correct it, or leave it out.");
  part = {.name = *head.name, .data = own, .length = head.length.value_or(std::string_view()), .file = head.file};
  rest_ = data.substr(end);
  return Found::kPart;
}

}  // namespace sluice::wire
