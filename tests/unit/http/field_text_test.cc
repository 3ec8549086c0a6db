#include "http/field_text.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::http {
namespace {

TEST(FieldText, EachByteIsSeenWhereverItStandsInATextOfAnyLength) {
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      for (unsigned c = 0; c < 256; ++c) {
        text[at] = static_cast<char>(c);
        ASSERT_EQ(is_token(text), field_text::token_character(c)) << c << " at " << at << " of " << size;
        ASSERT_EQ(is_field_value(text), field_text::value_character(c)) << c << " at " << at << " of " << size;
      }
    }
  }
}

TEST(FieldText, ANameHasAByteAndAValueNeedsNone) {
  EXPECT_FALSE(is_token(""));
  EXPECT_TRUE(is_field_value(""));
}

}  // namespace
}  // namespace sluice::http
