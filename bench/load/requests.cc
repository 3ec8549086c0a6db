#include "load/requests.h"

#include <algorithm>

namespace sluice::bench {
namespace {

std::string prompt_of(std::size_t bytes) {
  static constexpr std::string_view kWords = "the quick brown fox jumps over the lazy dog and ";
  std::string text;
  text.reserve(bytes + kWords.size());
  while (text.size() < bytes) text += kWords;
  text.resize(bytes);
  return text;
}

std::string body_of(const Options& options, const std::string& model, const std::string& prompt) {
  std::string body = R"({"model":")" + model + R"(",)";
  if (options.stream) body += R"("stream":true,)";
  if (options.stream && options.usage) body += R"("stream_options":{"include_usage":true},)";
  body += R"("max_tokens":256,"messages":[{"role":"user","content":")" + prompt + R"("}]})";
  return body;
}

std::string request_of(const Options& options, const std::string& key, const std::string& body) {
  std::string text = "POST " + options.path + " HTTP/1.1\r\nHost: " + options.host + "\r\n";
  if (!key.empty()) text += "Authorization: Bearer " + key + "\r\n";
  for (const std::string& header : options.headers) text += header + "\r\n";
  text += "User-Agent: sluice-load\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n";
  return text + body;
}

}  // namespace

std::vector<std::string> prepare_requests(const Options& options) {
  const std::string prompt = prompt_of(options.prompt_bytes);
  const std::size_t keys = std::max<std::size_t>(options.keys.size(), 1);
  const std::size_t variants = std::max<std::size_t>(keys, options.models);
  std::vector<std::string> requests;
  requests.reserve(variants);
  for (std::size_t i = 0; i < variants; ++i) {
    const std::string model =
        options.models > 1 ? options.model + "-" + std::to_string(i % options.models) : options.model;
    const std::string key = options.keys.empty() ? std::string() : options.keys[i % keys];
    requests.push_back(request_of(options, key, body_of(options, model, prompt)));
  }
  return requests;
}

}  // namespace sluice::bench
