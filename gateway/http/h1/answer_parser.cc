#include "http/h1/answer_parser.h"

#include <algorithm>

#include "http/field_text.h"
#include "http/kept_headers.h"

namespace sluice::http::h1 {
namespace {

// "timeout=5, max=100", as Apache, Node and others write it (RFC 2068, 19.7.1.1).
std::optional<std::chrono::seconds> timeout_of(std::string_view parameters) noexcept {
  constexpr std::string_view kName = "timeout=";
  constexpr std::uint64_t kMost = 86'400;
  while (!parameters.empty()) {
    const std::size_t comma = std::min(parameters.find(','), parameters.size());
    const std::string_view one = trimmed(parameters.substr(0, comma));
    parameters.remove_prefix(std::min(comma + 1, parameters.size()));
    if (one.size() <= kName.size() || !same_ignoring_case(one.substr(0, kName.size()), kName)) continue;
    const std::optional<std::uint64_t> seconds = parse_length(trimmed(one.substr(kName.size())));
    if (seconds) return std::chrono::seconds(std::min(*seconds, kMost));
  }
  return std::nullopt;
}

// As far as `bytes` go.
bool begins_like_http(std::string_view bytes) noexcept {
  constexpr std::string_view kName = "HTTP/1.";
  return bytes.substr(0, kName.size()) == kName.substr(0, bytes.size());
}

}  // namespace

// What the fields of one head say about where the answer ends.
struct AnswerParser::Fields {
  bool length = false;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
};

bool AnswerParser::read_status_line(std::string_view line) noexcept {
  http_1_0_ = line.starts_with("HTTP/1.0 ");
  if (!http_1_0_ && !line.starts_with("HTTP/1.1 ")) return false;
  const std::optional<std::uint64_t> status = parse_length(line.substr(9, 3));
  if (!status || *status < 100 || *status > 599 || (line.size() > 12 && line[12] != ' ')) return false;
  answer_.status = static_cast<std::uint16_t>(*status);
  return is_field_value(line);
}

bool AnswerParser::read_field(std::string_view line, Fields& fields) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (!is_token(name) || !is_field_value(value)) return false;
  const auto is = [&](std::string_view lower) { return same_ignoring_case(name, lower); };
  if (is("content-length")) {
    const std::optional<std::uint64_t> length = parse_length(value);
    if (!length || std::exchange(fields.length, true)) return false;
    answer_.content_length = *length;
  } else if (is("transfer-encoding")) {
    if (!same_ignoring_case(value, "chunked") || std::exchange(fields.chunked, true)) return false;
  } else if (is("connection")) {
    fields.close |= list_has(value, "close");
    fields.keep_alive |= list_has(value, "keep-alive");
  } else if (is("keep-alive")) {
    idle_time_ = timeout_of(value);
  } else if (is("content-type")) {
    answer_.content_type = value;
  } else if (is("content-encoding")) {
    answer_.content_encoding = value;
  } else if (is("retry-after")) {
    answer_.retry_after = value;
  } else {
    for (const std::string_view kept : kKeptHeaders) {
      if (is(kept)) answer_.others.emplace_back(kept, value);
    }
  }
  return true;
}

// RFC 9112, 6.3.
AnswerParser::Stage AnswerParser::begin_body(const Fields& fields) noexcept {
  if (fields.length && fields.chunked) return Stage::kBad;
  if (fields.chunked && http_1_0_) return Stage::kBad;
  keep_alive_ = !fields.close && (!http_1_0_ || fields.keep_alive);
  if (answer_.status == 204 || answer_.status == 304) return Stage::kDone;
  if (fields.chunked) return Stage::kChunks;
  if (fields.length) {
    left_ = *answer_.content_length;
    return left_ == 0 ? Stage::kDone : Stage::kLength;
  }
  keep_alive_ = false;
  return Stage::kUntilClose;
}

// A whole head with its empty line.
AnswerParser::Stage AnswerParser::read_lines(std::string_view head) {
  answer_ = {};
  Fields fields;
  bool first = true;
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    const std::string_view line = head.substr(0, end - 1);  // HeadScan has seen the CR before it
    head.remove_prefix(end + 1);
    if (line.empty()) break;
    if (!(first ? read_status_line(line) : read_field(line, fields))) return Stage::kBad;
    first = false;
  }
  if (first || answer_.status == 101) return Stage::kBad;  // nobody asked for another protocol
  if (answer_.status < 200) return fields.length || fields.chunked ? Stage::kBad : Stage::kHead;
  return begin_body(fields);
}

// Reads heads until one is not 1xx. `used`: how many of `bytes` belonged to heads.
AnswerParser::Step AnswerParser::read_head(std::string_view bytes, std::size_t& used) {
  while (stage_ == Stage::kHead) {
    const std::string_view given = bytes.substr(used);
    const std::size_t kept = head_.size();
    if (kept != 0) head_.append(given);
    const std::string_view input = kept != 0 ? head_.view() : given;
    const HeadScan::Found found = scan_.scan(input);
    const std::size_t size = found == HeadScan::Found::kWhole ? scan_.size_bytes() : input.size();
    if (found == HeadScan::Found::kBad || size > head_limit_) {
      stage_ = Stage::kBad;
    } else if (found == HeadScan::Found::kMore) {
      if (kept == 0) head_.append(given);
      used = bytes.size();
      return Step::kMore;
    } else {
      stage_ = read_lines(input.substr(0, size));
      used += size - kept;
      head_.clear();
      scan_ = {};
    }
  }
  head_.release();
  return stage_ == Stage::kBad ? Step::kBad : Step::kMore;
}

AnswerParser::Step AnswerParser::take_body(std::span<char> bytes, Buffer& body) {
  std::size_t used = bytes.size();
  if (stage_ == Stage::kDone) {
    used = 0;
  } else if (stage_ == Stage::kChunks) {
    const ChunkDecoder::Out out = chunks_.decode(bytes.data(), bytes.size());
    body.append({bytes.data(), out.payload});
    used = out.used;
    if (out.step == ChunkDecoder::Step::kDone) stage_ = Stage::kDone;
    if (out.step == ChunkDecoder::Step::kBad) stage_ = Stage::kBad;
  } else {
    if (stage_ == Stage::kLength) used = static_cast<std::size_t>(std::min<std::uint64_t>(left_, used));
    body.append({bytes.data(), used});
    left_ -= stage_ == Stage::kLength ? used : 0;
    if (stage_ == Stage::kLength && left_ == 0) stage_ = Stage::kDone;
  }
  extra_ |= used != bytes.size();
  if (stage_ == Stage::kBad) return Step::kBad;
  return stage_ == Stage::kDone ? Step::kDone : Step::kMore;
}

AnswerParser::Step AnswerParser::feed(std::span<char> bytes, Buffer& body) {
  if (!began_) is_http_ = begins_like_http({bytes.data(), bytes.size()});
  began_ |= !bytes.empty();
  std::size_t used = 0;
  if (stage_ == Stage::kHead && read_head({bytes.data(), bytes.size()}, used) == Step::kBad) return Step::kBad;
  if (stage_ == Stage::kHead) return Step::kMore;
  return take_body(bytes.subspan(used), body);
}

AnswerParser::Step AnswerParser::end(End how) const noexcept {
  if (stage_ == Stage::kDone) return Step::kDone;
  return stage_ == Stage::kUntilClose && how == End::kClean ? Step::kDone : Step::kBad;
}

}  // namespace sluice::http::h1
