// The reference conf file: every key with its default and its line of explanation, written from the schema.
#pragma once

#include <string>

namespace sluice::config {

// conf/sluice.toml is this text. Tables that have no default row stand there commented out, each line with a '#' that
// no blank follows, so that taking those away gives a file that shows every key.
[[nodiscard]] std::string reference_conf();

}  // namespace sluice::config
