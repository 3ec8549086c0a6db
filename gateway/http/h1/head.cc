#include "http/h1/head.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "http/h1/request_check.h"

namespace sluice::http::h1 {
namespace {

// Beast's parser without Beast's container: that one copies every field into a node of its own.
class HeadParser final : public boost::beast::http::basic_parser<true> {
 public:
  explicit HeadParser(Head& head) noexcept : head_(head) { skip(true); }

 private:
  using Text = boost::beast::string_view;
  using Code = boost::system::error_code;

  void on_request_impl(Verb method, Text, Text target, int, Code&) override {
    head_.method = method;
    head_.target = target;
  }
  void on_field_impl(Field id, Text name, Text value, Code&) override { head_.fields.add({id, name, value}); }
  void on_header_impl(Code&) override {}
  void on_finish_impl(Code&) override {}
  void on_response_impl(int, Text, int, Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text, Code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Code&) override { return 0; }

  Head& head_;
};

}  // namespace

Status parse_head(std::string_view bytes, Head& head) {
  const Result<CheckedHead> checked = check_head(bytes);
  if (!checked) return checked.error();
  head.fields.reserve(checked->lines);
  HeadParser parser(head);
  parser.header_limit(static_cast<std::uint32_t>(bytes.size()) + 1);
  boost::system::error_code ec;
  parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec || !parser.is_header_done()) {
    return client_error(ErrorKind::kBadRequest, "the request is not valid HTTP/1.1");
  }
  head.path = checked->path;
  head.query = checked->query;
  head.http_1_0 = checked->http_1_0;
  head.keep_alive = parser.keep_alive();
  head.expects_continue = checked->expects_continue;
  head.has_body = checked->framing == Framing::kChunked || checked->content_length != 0;
  if (checked->framing != Framing::kChunked) head.content_length = checked->content_length;
  return ok();
}

}  // namespace sluice::http::h1
