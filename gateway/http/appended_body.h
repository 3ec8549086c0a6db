// A Beast body whose bytes are appended to a Buffer that the caller names before each step of the parser.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>

#include "base/bytes.h"

namespace sluice::http {

struct AppendedBody {
  struct value_type {
    Buffer* into = nullptr;
  };
  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(boost::beast::http::header<isRequest, Fields>&, value_type& value) : value_(value) {}
    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& ec) {
      std::size_t size = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers);
           ++it) {
        const boost::asio::const_buffer part = *it;
        value_.into->append({static_cast<const char*>(part.data()), part.size()});
        size += part.size();
      }
      ec = {};
      return size;
    }
    void finish(boost::system::error_code& ec) { ec = {}; }

   private:
    value_type& value_;
  };
};

}  // namespace sluice::http
