// A body that its client compressed is decoded before anybody reads it, and goes on plain.
#include <simdjson.h>

#include <boost/beast/core/string.hpp>

#include "proxy/exchange.h"

namespace sluice::proxy {

// What the body is to be decoded from; none: it is plain. Error: kUnsupportedEncoding.
Result<std::optional<wire::Coding>> Exchange::find_coding() const noexcept {
  std::optional<wire::Coding> coding;
  for (const http::Fields::Line& field : head_.fields) {
    if (field.id != http::Field::content_encoding || field.value.empty()) continue;
    if (boost::beast::iequals(field.value, "identity")) continue;
    if (coding) return client_error(ErrorKind::kUnsupportedEncoding, "");
    coding = wire::coding_of(field.value);
    if (!coding) return client_error(ErrorKind::kUnsupportedEncoding, "");
  }
  return coding;
}

// In place of the compressed one, which is given back.
Task<Status> Exchange::decode_body() {
  UpstreamRequest& request = *request_;
  const std::size_t compressed_bytes = request.body_held_bytes;
  BodyReserve reserve(worker_.held, request.body_held_bytes);
  Buffer plain;
  {
    wire::BodyDecoder decoder(*request.coding, request.body.view(), conf_->settings.body_bytes, reserve, &worker_.held);
    SLUICE_CO_TRY(co_await decode_all(decoder, plain));
  }
  request.body = std::move(plain);
  request.body_held_bytes -= compressed_bytes;
  worker_.held.give(compressed_bytes);
  (void)request.body.prepare(simdjson::SIMDJSON_PADDING);
  co_return ok();
}

// A little is decoded here; what is large, or turns out to be, where it keeps no worker.
Task<Status> Exchange::decode_all(wire::BodyDecoder& decoder, Buffer& plain) {
  while (worker_.large_bodies == nullptr || (!is_large() && plain.size() < kLargeBodyBytes)) {
    const Result<wire::BodyDecoder::Step> step = decoder.decode(plain);
    if (!step) co_return step.error();
    if (*step == wire::BodyDecoder::Step::kDone) co_return ok();
  }
  DecodeJob job(wake_, decoder, plain);
  SLUICE_CO_TRY(co_await work_beside(job));
  co_return job.result();
}

}  // namespace sluice::proxy
