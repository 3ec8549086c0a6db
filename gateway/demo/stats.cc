#include "demo/stats.h"

#include <openssl/sha.h>

#include <array>

#include "demo/words.h"

namespace sluice::demo {
namespace {

std::string sha256_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

}  // namespace

void Stats::started(const http::RequestHead& head, std::string_view body) {
  std::string sha256 = sha256_hex(body);
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& field : head.fields) headers.emplace_back(field.name, field.value);
  const std::lock_guard lock(mutex_);
  ++started_;
  last_method_ = boost::beast::http::to_string(head.method);
  last_target_ = head.target;
  last_headers_ = std::move(headers);
  last_body_sha256_ = std::move(sha256);
  last_body_bytes_ = body.size();
  if (record_) last_body_ = body;
}

void Stats::finished() {
  const std::lock_guard lock(mutex_);
  ++finished_;
}

void Stats::cancelled() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::lock_guard lock(mutex_);
  ++cancelled_;
  last_cancel_micros_ = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

std::string Stats::json() const {
  const std::lock_guard lock(mutex_);
  std::string text = "{\"started\":" + std::to_string(started_) +
                     ",\"running\":" + std::to_string(started_ - finished_ - cancelled_) +
                     ",\"finished\":" + std::to_string(finished_) + ",\"cancelled\":" + std::to_string(cancelled_) +
                     ",\"last_cancel_us\":" + std::to_string(last_cancel_micros_) + ",\"last_request\":{\"method\":";
  append_string(text, last_method_);
  text += ",\"target\":";
  append_string(text, last_target_);
  text += ",\"headers\":[";
  for (const auto& [name, value] : last_headers_) {
    text += text.ends_with('[') ? "[" : ",[";
    append_string(text, name);
    text += ',';
    append_string(text, value);
    text += ']';
  }
  text += "],\"body_bytes\":" + std::to_string(last_body_bytes_) + ",\"body_sha256\":";
  append_string(text, last_body_sha256_);
  if (record_) {
    text += ",\"body\":";
    append_string(text, last_body_);
  }
  return text + "}}";
}

}  // namespace sluice::demo
