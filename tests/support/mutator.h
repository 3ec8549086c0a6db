// Texts of a folder under tests/fuzz, and seeded mutations of them: the same on every run.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/source_dir.h"

namespace sluice::test {

inline std::vector<std::string> corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(kSourceDir) + "/tests/fuzz/" + folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    texts.push_back(text.str());
  }
  return texts;
}

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus) : corpus_(std::move(corpus)) {}

  std::string next() {
    std::string text = corpus_[below(corpus_.size())];
    for (std::size_t i = below(4); i != 0; --i) mutate(text);
    return text;
  }
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

 private:
  void mutate(std::string& text) {
    static constexpr std::string_view kTokens[] = {"\"usage\":",
                                                   "\"error\":",
                                                   "\"choices\":[]",
                                                   "null",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   "\"",
                                                   "\\",
                                                   "\\u0000",
                                                   "\n\n",
                                                   "\r",
                                                   "\n",
                                                   "data: ",
                                                   "data: [DONE]\n\n",
                                                   ":",
                                                   ",",
                                                   "\xEF\xBB\xBF",
                                                   "\xFF",
                                                   "\"model\":",
                                                   "\"stream\":true,",
                                                   "\"n\":1e1,",
                                                   "-1",
                                                   "1e400",
                                                   "event: error\n",
                                                   "\"object\":\"error\",",
                                                   "event: message_stop\n",
                                                   "\"type\":\"message_delta\",",
                                                   "\"max_tokens\":0,",
                                                   "\"thinking\":{\"budget_tokens\":9},"};
    const std::size_t at = below(text.size() + 1);
    switch (below(5)) {
      case 0:
        text.insert(at, kTokens[below(std::size(kTokens))]);
        break;
      case 1:
        text.erase(at, below(12));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size() + 1), below(60)));
        break;
      default: {
        const std::string& other = corpus_[below(corpus_.size())];
        text = text.substr(0, at) + other.substr(below(other.size() + 1));
      }
    }
  }

  std::vector<std::string> corpus_;
  std::mt19937 random_{20260731};
};

}  // namespace sluice::test
