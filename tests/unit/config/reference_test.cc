// conf/sluice.toml shows every key and holds the defaults. After a change of the schema: SLUICE_UPDATE=1
// build/<kind>/config_test
#include "config/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "config/loader.h"
#include "support/source_dir.h"

namespace sluice::config {
namespace {

const std::string kPath = std::string(test::kSourceDir) + "/conf/sluice.toml";

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Reference, ConfFileInTheTreeShowsEveryKeyOfTheSchema) {
  if (std::getenv("SLUICE_UPDATE") != nullptr) std::ofstream(kPath) << reference_conf();
  EXPECT_EQ(read(kPath), reference_conf()) << "write it anew with SLUICE_UPDATE=1";
}

TEST(Reference, ConfFileInTheTreeHoldsTheDefaults) {
  const LoadResult result = load_file(kPath, {.files = Files::kTrust});
  for (const Diagnostic& d : result.diagnostics) ADD_FAILURE() << d.to_string();
  Settings defaults;
  defaults.listeners.emplace_back();
  EXPECT_TRUE(result.settings == defaults);
}

TEST(Reference, AnEmptyFileMeansTheDefaults) {
  const LoadResult result = load_text("", "empty.toml", {.files = Files::kTrust});
  EXPECT_TRUE(result.good());
  Settings defaults;
  defaults.listeners.emplace_back();
  EXPECT_TRUE(result.settings == defaults);
}

// "#key = …" is an example, "# text" an explanation.
TEST(Reference, ExamplesAreGoodOnceTheyAreTakenIn) {
  std::istringstream lines(reference_conf());
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const bool example = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    text += (example ? line.substr(1) : line) + "\n";
  }
  const LoadResult result = load_text(text, "sluice.toml", {.files = Files::kTrust});
  for (const Diagnostic& d : result.diagnostics) ADD_FAILURE() << d.to_string();
  ASSERT_EQ(result.settings.upstreams.size(), 1U);
  ASSERT_EQ(result.settings.models.size(), 1U);
  EXPECT_EQ(result.settings.models[0].limits.requests_per_minute, 60U);
  Upstream upstream;
  upstream.name = "example";
  upstream.url = "http://127.0.0.1:11434";
  upstream.cost_known = true;  // what it takes is among what the examples say
  EXPECT_TRUE(result.settings.upstreams[0] == upstream);
}

}  // namespace
}  // namespace sluice::config
