// The folder of the sources: for tests that read a file of theirs.
#pragma once

namespace sluice::test {

extern const char* const kSourceDir;  // absolute, without a slash at its end

}  // namespace sluice::test
