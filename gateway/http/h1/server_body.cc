// A body goes straight into the caller's buffer, chunk frames removed in place.
#include <algorithm>
#include <cstring>
#include <utility>

#include "http/h1/server_state.h"

namespace sluice::http::h1 {
namespace {

constexpr std::size_t kBodyStepBytes = 64u << 10;
// Behind so much of a body its block has room for the rest: pages that nothing is written to cost nothing, and a later
// step would copy and wipe many megabytes in one turn. What is counted grows in steps all the same.
constexpr std::size_t kGrownInStepsBytes = 1u << 20;
constexpr std::size_t kBehindBytes = 256;  // who reads the body looks a little beyond it
constexpr std::size_t kChunkedStepBytes = 16u << 10;

constexpr Error kTooLarge = {
    ErrorKind::kTooLarge, Origin::kClient, Retry::kNo, 0, 0, "the request's body is too large"};

}  // namespace

// The rest of a body that nobody wanted, where settle_reuse() found that reading it is worth it.
Task<Status> ServerConnection::State::drop_rest() {
  while (body_unread && body_left != 0) {
    if (in.empty()) {
      const Result<std::size_t> more = co_await fill(net::Deadline::after(limits.body_gap));
      if (!more || *more == 0) co_return kGone;
    }
    const std::size_t dropped = std::min<std::uint64_t>(body_left, in.size());
    in.consume(dropped);
    body_left -= dropped;
  }
  body_unread = false;
  co_return ok();
}

Task<Status> ServerConnection::read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline until) {
  State& s = *state_;
  if (!s.body_unread) co_return ok();
  if (s.head.content_length.value_or(0) > limit_bytes) co_return kTooLarge;
  if (std::exchange(s.continue_due, false)) {
    const net::Deadline deadline = net::Deadline::after(s.limits.write_gap);
    SLUICE_CO_TRY(co_await s.stream->write("HTTP/1.1 100 Continue\r\n\r\n", deadline));
  }
  const Status read = s.head.content_length ? co_await s.read_known(into, reserve, until)
                                            : co_await s.read_chunked(into, limit_bytes, reserve, until);
  if (read) s.body_unread = false;
  if (s.in.empty()) s.in.release();
  (void)s.count_held();
  co_return read;
}

// What comes of a body within its gap and before `until`. Never 0.
Task<Result<std::size_t>> ServerConnection::State::read_part(std::span<char> space, net::Deadline until) {
  const net::Deadline gap = net::Deadline::after(limits.body_gap);
  const Result<std::size_t> read = co_await stream->read_some(space, {std::min(gap.at, until.at)});
  if (!read) co_return read.error().kind == ErrorKind::kTimeout ? kSlow : kGone;
  if (*read == 0) co_return kGone;
  co_return read;
}

Task<Status> ServerConnection::State::read_known(Buffer& into, Reserve& reserve, net::Deadline until) {
  std::size_t granted = std::min<std::uint64_t>(body_left, in.size());
  if (!reserve.grow(granted)) co_return kHoldsTooMuch;
  into.append(in.view().substr(0, granted));
  in.consume(granted);
  body_left -= granted;
  bytes_in += granted;
  granted = 0;
  while (body_left != 0) {
    // Grown as bytes come, not as they are announced: an announcement costs its sender nothing.
    const std::size_t step = std::min<std::uint64_t>(body_left, std::max(kBodyStepBytes, into.size()));
    if (step > granted && !reserve.grow(step - std::exchange(granted, step))) co_return kHoldsTooMuch;
    const std::size_t room = into.size() < kGrownInStepsBytes ? step : body_left + kBehindBytes;
    const std::span<char> space = into.prepare(room).first(step);
    const Result<std::size_t> read = co_await read_part(space, until);
    if (!read) co_return read.error();
    into.commit(*read);
    bytes_in += *read;
    body_left -= *read;
    granted -= *read;
  }
  co_return ok();
}

// Chunks are read behind what `into` holds and lose their frames there.
Task<Status> ServerConnection::State::read_chunked(Buffer& into, std::size_t limit, Reserve& reserve,
                                                   net::Deadline until) {
  std::size_t taken = 0;
  std::size_t granted = 0;
  for (;;) {
    const std::size_t step = in.empty() ? std::max(kChunkedStepBytes, into.size()) : in.size();
    if (step > granted && !reserve.grow(step - std::exchange(granted, step))) co_return kHoldsTooMuch;
    const std::span<char> space = into.prepare(step);
    std::size_t got = step;
    if (in.empty()) {
      const Result<std::size_t> read = co_await read_part(space, until);
      if (!read) co_return read.error();
      got = *read;
    } else {
      std::memcpy(space.data(), in.data(), step);
      in.clear();
    }
    const ChunkDecoder::Out out = chunks.decode(space.data(), got);
    if (out.used != got) in.append({space.data() + out.used, got - out.used});
    wipe(space.data() + out.payload, got - out.payload);
    into.commit(out.payload);
    taken += out.payload;
    granted -= out.payload;
    bytes_in += out.used;
    if (out.step == ChunkDecoder::Step::kBad) co_return bad_request("the request's chunks are not valid");
    if (taken > limit || chunks.payload_under_way() > limit - taken) co_return kTooLarge;
    if (out.step == ChunkDecoder::Step::kDone) co_return ok();
  }
}

}  // namespace sluice::http::h1
