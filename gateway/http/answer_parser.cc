#include "http/answer_parser.h"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>
#include <optional>

#include "http/appended_body.h"

namespace sluice::http {
namespace {

namespace beast_http = boost::beast::http;

// Names that go on to the client, beside those with a place of their own in AnswerHead.
constexpr std::string_view kKept[] = {"openai-processing-ms", "openai-version"};

}  // namespace

struct AnswerParser::State {
  explicit State(std::size_t head_bytes_) : head_bytes(head_bytes_) { begin(); }
  void begin() {
    parser.emplace();
    parser->header_limit(static_cast<std::uint32_t>(head_bytes));
    parser->body_limit(boost::none);
    parser->eager(true);
  }
  std::size_t head_bytes;
  std::optional<beast_http::response_parser<AppendedBody>> parser;
  bool extra = false;  // bytes behind the answer: whose they are, nobody knows
};

AnswerParser::AnswerParser(std::size_t head_bytes) : state_(std::make_unique<State>(head_bytes)) {}
AnswerParser::~AnswerParser() = default;

AnswerParser::Step AnswerParser::feed(std::span<const char> bytes, std::size_t size, Buffer& rest,
                                      Buffer& body) noexcept {
  const bool kept = !rest.empty();
  if (kept) rest.append({bytes.data(), size});
  std::string_view input = kept ? rest.view() : std::string_view(bytes.data(), size);
  for (;;) {
    auto& parser = *state_->parser;
    parser.get().body().into = &body;
    boost::system::error_code ec;
    const std::size_t used = input.empty() ? 0 : parser.put(boost::asio::buffer(input.data(), input.size()), ec);
    input.remove_prefix(used);
    if (ec && ec != beast_http::error::need_more) return Step::kBad;
    if (parser.is_header_done() && parser.get().result_int() / 100 == 1) {
      state_->begin();
      continue;
    }
    if (parser.is_done()) {
      state_->extra = !input.empty();
      return Step::kDone;
    }
    if (ec == beast_http::error::need_more || used == 0 || input.empty()) break;
  }
  Buffer left;
  left.append(input);
  rest = std::move(left);
  return Step::kMore;
}

AnswerParser::Step AnswerParser::end(Buffer& body) noexcept {
  auto& parser = *state_->parser;
  if (!parser.got_some()) return Step::kBad;
  parser.get().body().into = &body;
  boost::system::error_code ec;
  parser.put_eof(ec);
  return ec ? Step::kBad : Step::kDone;
}

bool AnswerParser::has_head() const noexcept { return state_->parser->is_header_done(); }

void AnswerParser::take_head(AnswerHead& into) {
  const auto& answer = state_->parser->get();
  into.status = static_cast<std::uint16_t>(answer.result_int());
  into.content_type = answer[beast_http::field::content_type];
  into.content_encoding = answer[beast_http::field::content_encoding];
  into.retry_after = answer[beast_http::field::retry_after];
  if (const auto length = state_->parser->content_length()) into.content_length = *length;
  for (const std::string_view name : kKept) {
    if (const auto field = answer.find(name); field != answer.end()) into.others.emplace_back(name, field->value());
  }
}

bool AnswerParser::keeps_alive() const noexcept {
  return !state_->extra && state_->parser->is_done() && !state_->parser->need_eof() && state_->parser->keep_alive();
}

}  // namespace sluice::http
