// Fuzz targets of what dialects share; run as those of the dialects are.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "wire/body_decoder.h"

namespace sluice::wire::fuzz {

// Whatever the bytes: what comes out is within the limit, all that was taken is counted, and the library's memory is
// given back.
inline void decoded(Coding coding, std::string_view text) {
  constexpr std::size_t kLimit = 100'000;
  struct Reserve final : http::Incoming::Reserve {
    bool grow(std::size_t more_bytes) noexcept override {
      granted += more_bytes;
      return true;
    }
    std::size_t granted = 0;
  } reserve;
  HeldBytes held(std::size_t{16} << 20);
  Buffer out;
  {
    BodyDecoder decoder(coding, text, kLimit, reserve, &held);
    for (;;) {
      const Result<BodyDecoder::Step> step = decoder.decode(out);
      ASSERT_LE(out.size(), reserve.granted);
      ASSERT_LE(out.size(), kLimit + 1);
      if (step && *step == BodyDecoder::Step::kMore) continue;
      if (step) {
        ASSERT_LE(out.size(), kLimit);
      } else {
        ASSERT_TRUE(step.error().kind == ErrorKind::kBadRequest || step.error().kind == ErrorKind::kTooLarge);
      }
      break;
    }
  }
  ASSERT_EQ(held.held(), 0u);
}

}  // namespace sluice::wire::fuzz
